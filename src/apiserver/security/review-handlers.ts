/** Reviews and token requests as handlers of the registry: body in, checked and filled in, never stored. */
import type { Pod, ServiceAccount, TokenRequest } from "#api";
import { assert } from "#base";
import { cloneJson, type KubernetesObject, statusError } from "#machinery";
import { admitCreate } from "../registry/admit-create.ts";
import type { Call } from "../registry/call.ts";
import type { RegistryCore } from "../registry/core.ts";
import { checkVersion, decodeBody } from "../registry/decode.ts";
import { readWriteOptions } from "../registry/options.ts";
import type { CallHandler, CallHandlers } from "../registry/registry.ts";
import { objectKey } from "../registry/storage.ts";
import { trackOwners } from "../registry/versions.ts";
import type { AccountTokens } from "./account-tokens.ts";
import type { TokenAuthenticator } from "./authn/token-chain.ts";
import type { RulesAuthorizer } from "./authz/chain.ts";
import { createReviews, type Review } from "./reviews.ts";
import { defaultTokenRequest, requestToken, type TokenSettings } from "./token-request.ts";

export interface ReviewHandlersOptions {
  readonly tokens: TokenAuthenticator;
  readonly authorizer: RulesAuthorizer;
  readonly accountTokens: AccountTokens;
  readonly settings: TokenSettings;
}

export function reviewHandlers({ tokens, authorizer, accountTokens, settings }: ReviewHandlersOptions): CallHandlers {
  const reviews = Object.entries(createReviews({ tokens, authorizer })).map(([resource, review]) => [
    `${resource}//create`,
    // The decoder has made the body an object of the resource's kind, and each review is listed under its own.
    handlerOf(review as unknown as Review<KubernetesObject>),
  ]) as [string, CallHandler][];
  return new Map([...reviews, ["/serviceaccounts/token/create", tokenHandler(accountTokens, settings)]]);
}

const handlerOf =
  (review: Review<KubernetesObject>): CallHandler =>
  async (call, core) => {
    const { object, track, admit } = await readBody(call, core, {
      expected: { apiVersion: call.resource.groupVersion, kind: call.resource.kind },
    });
    await admit(object);
    const value = await review(object, { user: call.user, namespace: call.target.namespace });
    track(value);
    return { type: "value", status: 201, value };
  };

function tokenHandler(tokens: AccountTokens, settings: TokenSettings): CallHandler {
  return async (call, core) => {
    const { target } = call;
    const { object, track, admit } = await readBody(call, core, {
      expected: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" },
      defaults: defaultTokenRequest as (object: KubernetesObject) => void, // decoded as one
    });
    await admit(object);
    const account = await read<ServiceAccount>(core, ["serviceaccounts", target.namespace, target.name]);
    const value = await requestToken(
      object as TokenRequest, // decoded as one
      {
        user: call.user,
        account,
        get: (resource, namespace, name) => read<Pod>(core, [resource, namespace, name]),
        warnings: call.warnings,
        annotate: (key, text) => call.audit?.annotate(key, text),
        settings,
      },
      tokens,
    );
    track(value);
    return { type: "value", status: 201, value };
  };
}

/** The object itself, a copy; a StatusError when it isn't there. */
async function read<T>(core: RegistryCore, [resource, namespace, name]: readonly [string, string, string]): Promise<T> {
  const kind = core.table.stored("", resource);
  assert(kind, `${resource} is a built-in kind`);
  const object = await core.storage.read(kind, objectKey(kind, namespace, name));
  if (!object) throw statusError.notFound({ group: "", resource }, name);
  return cloneJson(object.decoded()) as T; // the caller names the resource's type
}

interface Body {
  readonly object: KubernetesObject;
  /** Notes who sent it. */
  track(result: KubernetesObject): void;
  /** Throws a StatusError to refuse. */
  admit(object: KubernetesObject): Promise<void>;
}

async function readBody(
  call: Call,
  core: RegistryCore,
  {
    expected,
    defaults,
  }: { expected: { apiVersion: string; kind: string }; defaults?: (object: KubernetesObject) => void },
): Promise<Body> {
  const options = readWriteOptions(call.query, "CreateOptions", call);
  const request = { expected, fieldValidation: options.fieldValidation, schemaOf: core.typeOf };
  const object = await decodeBody(call, request);
  if (expected.kind === call.resource.kind) checkVersion(object, call.resource);
  const { namespace, inNamespace } = call.target;
  if (inNamespace && expected.kind === call.resource.kind) object.metadata = { namespace, ...object.metadata };
  defaults?.(object);
  const before = cloneJson(object) as KubernetesObject;
  return {
    object,
    admit: (object) => admitCreate(core, call, { object, options }),
    track(result) {
      // Owners are of what was sent; the status is the server's.
      const schema = core.typeOf(expected.apiVersion, expected.kind);
      // Of rules upstream answers a new object, which nobody owns.
      if (!schema || expected.kind === "SelfSubjectRulesReview") return;
      const resource = { ...call.resource, schema, groupVersion: expected.apiVersion };
      const { manager } = options;
      const { subresource } = call.target;
      trackOwners({ core, resource, subresource, manager, strategy: undefined, now: call.now }, undefined, before);
      if (before.metadata?.managedFields)
        result.metadata = { ...result.metadata, managedFields: before.metadata.managedFields };
    },
  };
}
