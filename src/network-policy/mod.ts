export { type PoliciesOptions, removePolicies, type RunningPolicies, runPolicies } from "./run-policies.ts";
