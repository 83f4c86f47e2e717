/** A pod's RuntimeClass: which of the runtime's handlers runs it, and what that one can do. */
import { isStatusError } from "#machinery";
import type { PodView } from "../core/types.ts";
import { handlerCan, type RuntimeAbility } from "../runtime/abilities.ts";
import type { PodContext } from "./context.ts";

/** The runtime's name of a RuntimeClass; "" for the usual one. Rejects with the text of the pod's event. */
export async function runtimeHandlerOf({ client }: Pick<PodContext, "client">, pod: PodView): Promise<string> {
  const name = pod.spec?.runtimeClassName;
  if (!name) return "";
  try {
    return (await client.resource("node.k8s.io/v1/runtimeclasses").get(name)).handler;
  } catch (error) {
    if (isStatusError(error, "NotFound")) throw new Error(`runtimeclass.node.k8s.io ${JSON.stringify(name)} not found`);
    throw new Error(`failed to lookup RuntimeClass ${name}: ${error instanceof Error ? error.message : error}`);
  }
}

/** False when nobody knows. */
export async function podCan(context: PodContext, pod: PodView, ability: RuntimeAbility): Promise<boolean> {
  const handler = await runtimeHandlerOf(context, pod).catch(() => undefined);
  return handler !== undefined && handlerCan(context.node.abilities(), handler, ability);
}
