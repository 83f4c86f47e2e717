export type { DescriptionFile } from "./openapi/descriptions.ts";
export {
  type EncryptionConfiguration,
  parseEncryptionConfiguration,
} from "./encryption/configuration.ts";
export { encryptedStore } from "./encryption/encrypted-store.ts";
export { Encryption } from "./encryption/encryption.ts";
export type { HealthCheck } from "./health.ts";
export { type FlowOptions, flowDefaults } from "./flowcontrol/create-flow.ts";
export { defaultPortRange, parsePortRange, portInRange, type PortRange } from "./allocation/port-range.ts";
export { kubernetesAddress, parseServiceRanges } from "./allocation/service-network.ts";
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
export {
  type ComponentAuth,
  type ComponentServer,
  type ComponentServerOptions,
  createComponentServer,
} from "./component/component-server.ts";
export { type ComponentPages, createComponentPages } from "./component/component-pages.ts";
/** Only where a client speaks to a node itself. */
export const loadTranslateStream = () => import("./streaming/translate-stream.ts");
export type { TranslatedStream } from "./streaming/translate-stream.ts";
export { type KeyPair, type LeafRequest, selfSignedPair } from "./security/certificates.ts";
export { createRequestSigner, type RequestSigner } from "./security/request-signing.ts";
/** Only where no metrics-server is expected. */
export const loadResourceMetrics = () => import("./resource-metrics/mod.ts");
export type { SimulatedUsage } from "./resource-metrics/mod.ts";
export { bootstrapWanted } from "./security/bootstrap.ts";
export { issueLegacyToken, readPublicKeys } from "./security/account-tokens.ts";
export type { AnonymousOptions } from "./security/authn/authenticator.ts";
export type { RequestHeaderSettings } from "./security/authn/request-header.ts";
export { readAuthorities } from "./security/authn/client-certificate.ts";
export { type Keeping, keepExtensionAuthentication } from "./security/authn/extension-authentication.ts";
export { jwtOfFlags, parseAuthenticationConfiguration } from "./security/authn/jwt-configuration.ts";
export type { JwtRules } from "./security/authn/jwt-shape.ts";
export { parseAbacPolicies } from "./security/authz/abac.ts";
export type { ConfiguredAuthorizer } from "./security/authz/authorizers.ts";
export {
  type AuthorizationMode,
  type AuthorizerConfiguration,
  authorizationModes,
  parseAuthorizationConfiguration,
} from "./security/authz/configuration.ts";
export {
  type AccountSettings,
  createSecurity,
  type Security,
  type SecurityConfiguration,
  type SecurityOptions,
} from "./security/create-security.ts";
export { loadExpressionCompiler } from "./security/expressions.ts";
export type { ReviewTarget } from "./security/review-webhook.ts";
export { type FrontProxy, openPki, type Pki, PkiError, type PkiOptions } from "./security/pki.ts";
export { parseTokenFile } from "./security/static-tokens.ts";
export { createStreaming, type Streaming, type StreamingOptions } from "./streaming/handlers.ts";
export {
  createKubeletConnector,
  type KubeletConnector,
  type KubeletConnectorOptions,
} from "./streaming/kubelet-connector.ts";
