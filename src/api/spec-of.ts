/**
 * The spec of an object, an empty one where the client sent none: upstream's specs are no pointers, so nobody there asks
 * whether one is missing, and validation names the fields that an empty one lacks.
 */
export function specOf<S extends object>({ spec }: { readonly spec?: S }): S {
  return spec ?? ({} as S); // what it lacks is what validation is about
}
