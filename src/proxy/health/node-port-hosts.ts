/** Where health-check node ports listen: where node ports answer. */
import type { Node } from "#api";
import type { DeepReadonly } from "#machinery";
import { contextOf } from "../core/context.ts";
import type { Family } from "../core/endpoints.ts";
import { addressesOf } from "../core/source.ts";
import type { ProxySettings } from "../settings.ts";

export function nodePortHosts(
  families: readonly Family[],
  settings: ProxySettings,
  node: DeepReadonly<Node> | undefined,
): readonly string[] {
  const facts = { nodeName: "", zone: "", addresses: addressesOf(node), podCidrs: [], serviceCidrs: [] };
  return families.flatMap(
    (family) => contextOf(family, settings, facts).nodePortAddresses ?? (family === "IPv4" ? "0.0.0.0" : "::"),
  );
}
