/**
 * What is the same on all nodes of a cluster, from the server that decided it: the ConfigMap `kube-system/sampan-cluster`, which nodes may
 * read (role `sampan:cluster-settings`). So a machine needs to know no more than a server and a token.
 */
import type { Client } from "#client";
import { isStatusError } from "#machinery";
import { networkModes } from "#network";
import type { ClusterSettings } from "./node-context.ts";

const place = { namespace: "kube-system", name: "sampan-cluster" } as const;
const fields = [
  "clusterCidr",
  "serviceCidr",
  "clusterDomain",
  "dnsAddress",
] as const satisfies (keyof ClusterSettings)[];

/** Writes what holds from now on. */
export async function provideClusterSettings(client: Client, settings: ClusterSettings): Promise<void> {
  const maps = client.resource("v1/configmaps", place.namespace);
  const data: Record<string, string> = { ...settings };
  try {
    await maps.create({ metadata: place, data });
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists")) throw error;
    await maps.patch(place.name, { data }, { type: "merge" });
  }
}

/** Undefined when this cluster has none: somebody else's. */
export async function readClusterSettings(client: Client): Promise<ClusterSettings | undefined> {
  try {
    const { data } = await client.resource("v1/configmaps", place.namespace).get(place.name);
    return checkedSettings(data);
  } catch (error) {
    if (isStatusError(error, "NotFound") || isStatusError(error, "Forbidden")) return undefined;
    throw error;
  }
}

/** Whole, or undefined. */
export function checkedSettings(data: Readonly<Record<string, string>> | undefined): ClusterSettings | undefined {
  if (!data || fields.some((field) => !data[field])) return undefined;
  const network = networkModes.find((mode) => mode === data.network);
  const whole = Object.fromEntries(fields.map((field) => [field, data[field]])) as unknown as ClusterSettings; // each field, as was just seen
  return { ...whole, ...(network && { network }) };
}
