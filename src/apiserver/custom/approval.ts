/** Whether a definition in a group of the Kubernetes community was approved there. Follows controller/apiapproval. */
import type { CustomResourceDefinition, DefinitionCondition } from "#api";
import { type DeepReadonly, goQuote } from "#machinery";

const annotation = "api-approved.kubernetes.io";
const more = "see https://github.com/kubernetes/enhancements/pull/1111";

/** Undefined: nobody asks. */
export function approvalCondition({
  metadata,
  spec,
}: DeepReadonly<CustomResourceDefinition>): DefinitionCondition | undefined {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(spec.group)) return undefined;
  const type = "KubernetesAPIApprovalPolicyConformant";
  const text = metadata.annotations?.[annotation] ?? "";
  const must = `protected groups must have approval annotation ${goQuote(annotation)}`;
  if (text === "") return { type, status: "False", reason: "MissingAnnotation", message: `${must}, ${more}` };
  if (text.startsWith("unapproved")) {
    return { type, status: "False", reason: "UnapprovedAnnotation", message: `not approved: ${goQuote(text)}` };
  }
  if (/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#\s]+/.test(text)) {
    return { type, status: "True", reason: "ApprovedAnnotation", message: `approved in ${text}` };
  }
  const message = `${must} with either a URL or a reason starting with "unapproved", ${more}`;
  return { type, status: "False", reason: "InvalidAnnotation", message };
}
