/** What hosts show that have no certificate of their own. */
import type { IngressOptions } from "#ingress";

export const makeIngressCertificate: IngressOptions["makeCertificate"] = async () => {
  const { selfSignedPair } = await import("#apiserver");
  const { certificate: cert, key } = await selfSignedPair("ingress.local", Date.now());
  return { cert, key };
};
