/** Which Ingresses are ours, by class. Pure. */
import type { Ingress, IngressClass } from "#api";
import type { DeepReadonly } from "#machinery";

/** In `spec.controller` of classes. */
export const controllerName = "sampan.dev/ingress";
export const className = "sampan";
export const defaultClassAnnotation = "ingressclass.kubernetes.io/is-default-class";
/** What classes were before they had a field; older manifests only have this. */
const classAnnotation = "kubernetes.io/ingress.class";

export interface Classes {
  /** By name: whether its controller is ours. */
  readonly ours: ReadonlySet<string>;
  /** Ingresses that name no class are ours. */
  readonly isDefault: boolean;
}

export function readClasses(classes: readonly DeepReadonly<IngressClass>[]): Classes {
  const isOurs = ({ spec }: DeepReadonly<IngressClass>) => spec?.controller === controllerName;
  const ours = new Set(classes.filter(isOurs).map(({ metadata }) => metadata.name ?? ""));
  // The newest of several, by name among equals, as the admission plugin of the API server takes it.
  const order = ({ metadata }: DeepReadonly<IngressClass>) => metadata.creationTimestamp ?? "";
  const [chosen] = classes
    .filter(({ metadata }) => metadata.annotations?.[defaultClassAnnotation] === "true")
    .sort((a, b) => {
      if (order(a) !== order(b)) return order(a) < order(b) ? 1 : -1;
      return (a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1;
    });
  return { ours, isDefault: chosen !== undefined && isOurs(chosen) };
}

/** The field counts before the annotation, which may name our class even where nobody made it an object. */
export function isOurs({ metadata, spec }: DeepReadonly<Ingress>, classes: Classes): boolean {
  const { ingressClassName } = spec ?? {};
  if (ingressClassName !== undefined) return classes.ours.has(ingressClassName);
  const noted = metadata.annotations?.[classAnnotation];
  if (noted !== undefined && noted !== "") return noted === className || classes.ours.has(noted);
  return classes.isDefault;
}
