/** Who may do what: the question for the authorizer. */
import type { RequestUser } from "#api";
import type { FieldRequirement, LabelRequirement } from "#machinery";
import type { Target } from "./request-target.ts";
import type { Attributes } from "./security.ts";

export interface Question {
  readonly user: RequestUser;
  readonly verb: string;
  readonly target: Target;
  /** As in the URL. */
  readonly path: string;
  readonly fieldSelector?: readonly FieldRequirement[] | undefined;
  readonly labelSelector?: readonly LabelRequirement[] | undefined;
}

export function attributesOf(question: Question): Attributes {
  const { user, verb, target, path, fieldSelector, labelSelector } = question;
  if (target.type !== "resource") {
    const none = { apiGroup: "", apiVersion: "", resource: "", subresource: "", namespace: "", name: "" };
    return { user, verb, path, resourceRequest: false, ...none };
  }
  const { group, version, resource, subresource, namespace, name } = target;
  return {
    user,
    verb,
    path,
    resourceRequest: true,
    apiGroup: group,
    apiVersion: version,
    resource,
    subresource,
    namespace,
    name,
    ...(fieldSelector && { fieldSelector }),
    ...(labelSelector && { labelSelector }),
  };
}
