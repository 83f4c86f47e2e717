export type { DescriptionFile } from "./openapi/descriptions.ts";
export {
  type EncryptionConfiguration,
  parseEncryptionConfiguration,
} from "./encryption/configuration.ts";
export { encryptedStore } from "./encryption/encrypted-store.ts";
export { Encryption } from "./encryption/encryption.ts";
export type { HealthCheck } from "./health.ts";
export { createLocalTransport, type LocalTransportOptions } from "./local-transport.ts";
export { type ApiServer, type ApiServerDependencies, type ApiServerOptions, createApiServer } from "./server.ts";
export {
  type AuditDelivery,
  type AuditOptions,
  createAuditor,
  validateAuditOptions,
} from "./audit/options.ts";
export { parseAuditPolicy } from "./audit/policy.ts";
export type { PostAudit } from "./audit/webhook-sink.ts";
export type { KeyPair, LeafRequest } from "./security/certificates.ts";
export { bootstrapWanted } from "./security/bootstrap.ts";
export { createSecurity, type Security, type SecurityOptions } from "./security/create-security.ts";
export { type FrontProxy, openPki, type Pki, PkiError, type PkiOptions } from "./security/pki.ts";
export { parseTokenFile } from "./security/static-tokens.ts";
export { createStreaming, type Streaming, type StreamingOptions } from "./streaming/handlers.ts";
export {
  createKubeletConnector,
  type KubeletConnector,
  type KubeletConnectorOptions,
} from "./streaming/kubelet-connector.ts";
