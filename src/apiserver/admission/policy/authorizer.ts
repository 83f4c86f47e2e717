/** `authorizer` in expressions: what else the user of the request may do. Follows apiserver/pkg/cel/library/authz.go. */
import { celEngine } from "#api";
import type { Authorize, AuthorizerAttributes, Variables } from "#cel";
import {
  type FieldRequirement,
  type LabelRequirement,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
} from "#machinery";
import type { Authorizer } from "../../security.ts";
import type { AdmissionRequest } from "../chain.ts";
import { nameOf } from "../requested.ts";

/** Answers of an evaluation are kept as long as these. */
export function authorizerVariables(request: AdmissionRequest, authorizer: Authorizer): Variables {
  const { createAuthorizer, createResourceCheck } = celEngine();
  const { user, resource, subresource, namespace } = request;
  const value = createAuthorizer({ user, authorize: questions(authorizer) });
  const { group, resource: plural } = resource;
  const asked = { group, resource: plural, subresource, namespace, name: nameOf(request) };
  return { authorizer: value, "authorizer.requestResource": createResourceCheck(value, asked) };
}

function questions(authorizer: Authorizer): Authorize {
  return async ({ user, fieldSelector, labelSelector, ...attributes }) => {
    const { name, uid = "", groups = [], extra = {} } = user;
    try {
      const { allowed, denied, reason, error } = await authorizer.authorize({
        ...attributes,
        user: {
          name,
          uid,
          groups: [...groups],
          extra: Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]])),
        },
        ...selectors({ fieldSelector, labelSelector }),
      });
      return { decision: allowed ? "allow" : denied ? "deny" : "none", reason, ...(error !== undefined && { error }) };
    } catch (error) {
      return { decision: "none", error: (error as Error).message }; // whatever kept it from answering
    }
  };
}

/** One that can't be read narrows nothing. */
function selectors({ fieldSelector, labelSelector }: Pick<AuthorizerAttributes, "fieldSelector" | "labelSelector">): {
  fieldSelector?: readonly FieldRequirement[];
  labelSelector?: readonly LabelRequirement[];
} {
  return {
    ...(fieldSelector && read("fieldSelector", () => parseFieldSelector(fieldSelector).requirements)),
    ...(labelSelector && read("labelSelector", () => parseLabelSelector(labelSelector).requirements)),
  };
}

function read<K extends string, T>(key: K, parse: () => T): Partial<Record<K, T>> {
  try {
    return { [key]: parse() } as Record<K, T>; // a single key
  } catch (error) {
    if (error instanceof SelectorError) return {};
    throw error;
  }
}
