/** The objects that a binding gives its policy as `params`. Follows plugin/policy/generic CollectParams. */
import type { ParamKind, ParamRef } from "#api";
import { compileLabelSelector, type DeepReadonly, type KubernetesObject } from "#machinery";
import type { Resource, ResourceTable } from "../../resource.ts";
import type { Lookup } from "../chain.ts";
import { shownAs } from "../requested.ts";

/** The policy or its binding is set up wrong: its failure policy says what follows. */
export class ConfigurationError extends Error {
  override name = "ConfigurationError";
}

export interface ParamsOptions {
  readonly table: ResourceTable;
  readonly lookup: Lookup;
  readonly kind: DeepReadonly<ParamKind> | undefined;
  readonly reference: DeepReadonly<ParamRef> | undefined;
  /** Of the request. */
  readonly namespace: string;
}

type Params = DeepReadonly<KubernetesObject>;

/** The resource of a policy's parameters; throws a ConfigurationError when nobody serves it. */
export function paramResource(table: ResourceTable, kind: DeepReadonly<ParamKind>): Resource {
  const { apiVersion = "", kind: name = "" } = kind;
  const resource = table.findKind(apiVersion, name);
  if (resource) return resource;
  const groupVersion = apiVersion.includes("/") ? apiVersion : `/${apiVersion}`;
  throw new ConfigurationError(`failed to find resource referenced by paramKind: '${groupVersion}, Kind=${name}'`);
}

/** One evaluation for each; `[undefined]` when there is nothing to give. Rejects with a ConfigurationError. */
export async function collectParams(options: ParamsOptions): Promise<readonly (Params | undefined)[]> {
  const { table, lookup, kind, reference } = options;
  if (!kind || !reference) return [undefined];
  const resource = paramResource(table, kind);
  const namespace = namespaceOf(resource, options);
  const { name = "", selector, parameterNotFoundAction } = reference;
  if (name !== "" && selector)
    throw new ConfigurationError("paramRef.name and paramRef.selector are mutually exclusive");
  if (name === "" && !selector) throw new ConfigurationError("one of name or selector must be provided");
  const { stored } = resource;
  let found: readonly Params[] = [];
  if (stored && name !== "") {
    const one = await lookup.get(stored, namespace, name);
    found = one ? [one] : [];
  } else if (stored) {
    const matcher = compileLabelSelector(selector);
    found = (await lookup.list(stored, namespace)).filter(({ metadata }) => matcher.matches(metadata?.labels ?? {}));
  }
  if (found.length === 0 && parameterNotFoundAction === "Deny")
    throw new ConfigurationError("no params found for policy binding with `Deny` parameterNotFoundAction");
  return Promise.all(found.map((each) => shownAs(resource, each)));
}

function namespaceOf({ namespaced }: Resource, { reference, namespace }: ParamsOptions): string {
  const own = reference?.namespace ?? "";
  if (!namespaced && own !== "")
    throw new ConfigurationError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
  if (!namespaced) return "";
  if (own === "" && namespace === "")
    throw new ConfigurationError(
      "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
    );
  return own || namespace;
}
