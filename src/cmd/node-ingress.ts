/** Ingresses, served beside a node: on its addresses, by a user of its own. */
import { type Logger, realClock } from "#base";
import type { Client } from "#client";
import type { IngressOptions } from "#ingress";
import type { readIngressFlags } from "./ingress-flags.ts";

export interface NodeIngressOptions extends ReturnType<typeof readIngressFlags> {
  /** In the role `sampan:ingress`. */
  readonly client: Client;
  readonly nodeName: string;
  readonly addresses: readonly string[];
  readonly log: Logger;
}

/** Until there is the first Ingress it costs one watch. */
export async function runNodeIngress(options: NodeIngressOptions, signal: AbortSignal): Promise<void> {
  const { ports, nodeName, ...rest } = options;
  if (ports.http === 0 && ports.https === 0) return;
  const { runIngress } = await import("#ingress");
  await runIngress(
    {
      ...rest,
      ports,
      identity: nodeName,
      keepsStatus: true,
      clock: realClock,
      makeCertificate: makeIngressCertificate,
    },
    signal,
  );
}

/** For hosts without a certificate of their own. */
export const makeIngressCertificate: IngressOptions["makeCertificate"] = async () => {
  const { selfSignedPair } = await import("#apiserver");
  const { certificate: cert, key } = await selfSignedPair("ingress.local", Date.now());
  return { cert, key };
};
