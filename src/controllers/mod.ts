export { type Controllers, type ControllersOptions, createControllers } from "./create-controllers.ts";
export type { CertificateSigner, Controller, ControllerContext, ControllerOptions, Loop } from "./lib/controller.ts";
export { leaseCandidatesController } from "./lease-candidates/controller.ts";
export { parsePool } from "./load-balancer/pool.ts";
export { controllers } from "./registry.ts";
