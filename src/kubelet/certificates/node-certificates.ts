/** What whoever runs a node needs to get it its certificates; loaded when it does. */
export {
  type CertificateManagerOptions,
  clientSigner,
  keepCertificate,
  requestCertificate,
  requestName,
  servingSigner,
} from "./certificate-manager.ts";
export { type CertificateSubject, createKey, selfSigned } from "./certificate-request.ts";
export { type CertificatePair, certificateStore, readPair } from "./certificate-store.ts";
