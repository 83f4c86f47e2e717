/** What clusters inside other programs are made of. */
export { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "./control-plane.ts";
export { readFeatureGates, readRuntimeConfig } from "./feature-gates.ts";
export { writeAdminKubeconfig } from "./kubeconfig-file.ts";
export { dataLayout } from "./settings.ts";
export { widened } from "./simulated.ts";
export { kubernetesVersion } from "./version.ts";
export { signersOf } from "./signing-flags.ts";
