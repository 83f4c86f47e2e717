/** What the runtime can do beyond what every one can, as its status says; older ones say nothing and can none of it. */
import type { NodeFeatures, NodeRuntimeHandler } from "#api";
import type { RuntimeFeatures, RuntimeHandler } from "../cri/types.d.ts";

export interface RuntimeAbilities {
  /** For a node's status, in the runtime's order. */
  readonly handlers: readonly NodeRuntimeHandler[];
  readonly features: NodeFeatures | undefined;
}

/** `handler`: a RuntimeClass's; "": the usual one. */
export type RuntimeAbility = "recursiveReadOnlyMounts" | "userNamespaces";

export const noAbilities: RuntimeAbilities = { handlers: [], features: undefined };

export const abilitiesOf = ({
  runtimeHandlers = [],
  features,
}: {
  runtimeHandlers?: readonly RuntimeHandler[];
  features?: RuntimeFeatures | undefined;
}): RuntimeAbilities => ({
  handlers: runtimeHandlers.map(({ name, features: own }) => ({
    name: name ?? "",
    features: {
      recursiveReadOnlyMounts: own?.recursiveReadOnlyMounts ?? false,
      userNamespaces: own?.userNamespaces ?? false,
    },
  })),
  features: features && { supplementalGroupsPolicy: features.supplementalGroupsPolicy ?? false },
});

export const handlerCan = ({ handlers }: RuntimeAbilities, handler: string, ability: RuntimeAbility): boolean =>
  handlers.find(({ name = "" }) => name === handler)?.features?.[ability] ?? false;
