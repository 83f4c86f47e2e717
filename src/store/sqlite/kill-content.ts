/** A value that says what it should be: 3.4 kB, the size of a typical pod. */
export function contentOf(text: string): Uint8Array {
  return new TextEncoder().encode(`${text} `.repeat(Math.ceil(3400 / (text.length + 1))));
}
