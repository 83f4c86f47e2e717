/** The containers of a pod spec, of all three kinds. */
import type { Place } from "../place.ts";
import type { Container, EphemeralContainer, PodSpec } from "../types.d.ts";

export type AnyContainer = Container | EphemeralContainer;

const lists = ["initContainers", "containers", "ephemeralContainers"] as const;

/** In upstream's order: init containers, containers, ephemeral containers. */
export function visitContainers(spec: PodSpec, at: Place, visit: (container: AnyContainer, at: Place) => void): void {
  for (const list of lists) {
    spec[list]?.forEach((container, i) => {
      visit(container, at.child(list).index(i));
    });
  }
}

export function* containersOf(spec: PodSpec): Generator<AnyContainer> {
  for (const list of lists) yield* spec[list] ?? [];
}

/** An init container that keeps running beside the containers. */
export const isSidecar = (container: Container | undefined): boolean => container?.restartPolicy === "Always";
