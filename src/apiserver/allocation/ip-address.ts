/** The IPAddress object that stands for a cluster address in use. */
import { randomUUID } from "node:crypto";
import { type IPAddress, isIpv6Text } from "#api";
import { rfc3339 } from "../registry/rfc3339.ts";

export const managedByLabel = "ipaddress.kubernetes.io/managed-by";
export const familyLabel = "ipaddress.kubernetes.io/ip-family";
export const manager = "ipallocator.k8s.io";

export interface Holder {
  readonly namespace: string;
  readonly name: string;
}

export const addressLabels = (address: string): Record<string, string> => ({
  [familyLabel]: isIpv6Text(address) ? "IPv6" : "IPv4",
  [managedByLabel]: manager,
});

/** As it is stored, written with its Service. */
export function ipAddressOf(address: string, { namespace, name }: Holder, now: number): IPAddress {
  const time = rfc3339(now);
  return {
    kind: "IPAddress",
    apiVersion: "networking.k8s.io/v1",
    metadata: {
      name: address,
      uid: randomUUID(),
      creationTimestamp: time,
      labels: addressLabels(address),
      managedFields: [{ ...owner, time }],
    },
    spec: { parentRef: { resource: "services", namespace, name } },
  };
}

const owner = {
  manager: "kube-apiserver",
  operation: "Update",
  apiVersion: "networking.k8s.io/v1",
  fieldsType: "FieldsV1",
  fieldsV1: {
    "f:metadata": { "f:labels": { ".": {}, [`f:${familyLabel}`]: {}, [`f:${managedByLabel}`]: {} } },
    "f:spec": { "f:parentRef": { ".": {}, "f:name": {}, "f:namespace": {}, "f:resource": {} } },
  },
} as const;
