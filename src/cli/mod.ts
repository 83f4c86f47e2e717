export { assess, type Finding, type MachineFacts, printFindings } from "./check.ts";
export { ConvertError, type Format, print, readManifests, toVersion } from "./convert/convert.ts";
export { type KubeconfigInput, printKubeconfig } from "./kubeconfig.ts";
export { printStatus, type StatusFacts } from "./status.ts";
