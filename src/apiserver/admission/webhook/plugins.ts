/**
 * MutatingAdmissionWebhook and ValidatingAdmissionWebhook. Mutating ones are asked one after the other, each sees what the last one left;
 * validating ones all at once. A cluster without webhooks pays two comparisons for each write.
 */
import type { Logger } from "#base";
import {
  applyJsonPatch,
  checkTyped,
  type DeepReadonly,
  jsonEqual,
  type KubernetesObject,
  statusError,
} from "#machinery";
import type { WatchCaches } from "../../cache/watch-caches.ts";
import type { Resource, ResourceTable } from "../../resource.ts";
import type { AdmissionPlugin, AdmissionRequest, Round } from "../chain.ts";
import { createWebhookClient, type WebhookClient } from "./client.ts";
import { ask, type DispatchContext, type Invocation, invocationOf } from "./dispatch.ts";
import { denied, WebhookCallError } from "./errors.ts";
import { createHookSource, type Hook, type HookSource } from "./hooks.ts";
import { isAboutAdmission } from "./match.ts";
import { observed, type WebhookObserver } from "./observe.ts";
import { replaceObject } from "../replace-object.ts";
import { shownAs } from "../requested.ts";
import type { Authorizer } from "../../security.ts";
import { type Rounds, roundsOf } from "./rounds.ts";

export interface WebhookPluginsOptions {
  readonly table: ResourceTable;
  readonly caches: WatchCaches;
  readonly log: Logger;
  readonly authorizer: Authorizer;
  readonly observer?: WebhookObserver | undefined;
}

export interface WebhookPlugins {
  readonly mutating: AdmissionPlugin;
  readonly validating: AdmissionPlugin;
  close(): void;
}

export function createWebhookPlugins(options: WebhookPluginsOptions): WebhookPlugins {
  const client = createWebhookClient();
  return {
    mutating: mutatingPlugin({
      ...options,
      client,
      source: createHookSource("mutatingwebhookconfigurations", options),
    }),
    validating: validatingPlugin({
      ...options,
      client,
      source: createHookSource("validatingwebhookconfigurations", options),
    }),
    close: () => client.close(),
  };
}

interface PluginOptions extends WebhookPluginsOptions {
  readonly client: WebhookClient;
  readonly source: HookSource;
}

function concerns(source: HookSource, { resource }: Pick<AdmissionRequest, "resource">): boolean {
  const hooks = source.hooks();
  // Asked for again, and answered by its error, when the request comes to it.
  if (hooks instanceof Promise) hooks.catch(() => undefined);
  return (hooks instanceof Promise || hooks.length > 0) && !isAboutAdmission(resource);
}

function mutatingPlugin({ table, client, source, log, authorizer, observer }: PluginOptions): AdmissionPlugin {
  return {
    name: "MutatingAdmissionWebhook",
    handles: (request) => concerns(source, request),
    async mutate(request, lookup, round) {
      const context: DispatchContext = { table, client, lookup, authorizer };
      const rounds = roundsOf(round, "webhooks");
      if (round.again) rounds.begin(request.object);
      for (const [index, hook] of (await source.hooks()).entries()) {
        const invocation = await invocationOf(context, hook, request);
        if (!invocation || (round.again && !rounds.wants(hook.id))) continue;
        await mutateBy(context, invocation, { request, round, rounds, index, log, observer });
      }
      rounds.end(request.object);
    },
  };
}

interface Mutation {
  readonly request: AdmissionRequest;
  readonly round: Round;
  readonly rounds: Rounds;
  /** Of the webhook among all. */
  readonly index: number;
  readonly log: Logger;
  readonly observer: WebhookObserver | undefined;
}

async function mutateBy(
  context: DispatchContext,
  invocation: Invocation,
  { request, round, rounds, index, log, observer }: Mutation,
): Promise<void> {
  const { hook, resource } = invocation;
  const object = await shownAs(resource, request.object);
  const old = await shownAs(resource, request.old);
  const place = `round_${round.again ? 1 : 0}_index_${index}`;
  let changed = false;
  const note = () =>
    request.audit?.annotate(`${mutationKey}${place}`, JSON.stringify({ ...named(hook), mutated: changed }));
  const call = observed(observer, { hook, request, step: "admit" }, () =>
    ask(context, { invocation, request, object, old, mutating: true }),
  );
  const answer = await forgiving(hook, log, call).catch((error: unknown) => {
    note();
    throw error;
  });
  if (!answer) request.audit?.annotate(`failed-open.${mutationKey}${place}`, hook.webhook.name);
  if (answer) {
    if (!answer.allowed) {
      note();
      throw denied(hook.webhook.name, answer.result);
    }
    if (answer.patch.length > 0) {
      if (!object || !request.object)
        throw statusError.internal(
          `admission webhook ${JSON.stringify(hook.webhook.name)} attempted to modify the object, which is not supported for this operation`,
        );
      const patched = patchObject(object, answer.patch, resource);
      changed = !jsonEqual(patched, object);
      request.audit?.annotateAt("Request", `patch.webhook.admission.k8s.io/${place}`, () =>
        JSON.stringify({ ...named(hook), patch: answer.patch, patchType: "JSONPatch" }),
      );
      await replaceObject(request, patched, resource);
    }
  }
  note();
  if (changed) {
    rounds.changed();
    round.wanted = true;
  }
  if (hook.webhook.reinvocationPolicy === "IfNeeded") rounds.asked(hook.id);
}

/** In the audit log. */
const mutationKey = "mutation.webhook.admission.k8s.io/";
const named = ({ configuration, webhook }: Hook) => ({ configuration, webhook: webhook.name });

type Patch = Parameters<typeof applyJsonPatch>[1];

function patchObject(object: DeepReadonly<KubernetesObject>, patch: Patch, resource: Resource): KubernetesObject {
  try {
    // The result shares parts with the original, which belongs to others.
    const patched = JSON.parse(JSON.stringify(applyJsonPatch(object, patch))) as KubernetesObject; // checked below
    // What custom kinds are is for their schema to say, later.
    if (object.kind === resource.kind && !resource.custom)
      checkTyped(patched as Record<string, unknown>, resource.schema);
    return patched;
  } catch (error) {
    // Whatever it made of the object, the webhook did: upstream calls all of it an internal error.
    throw statusError.internal((error as Error).message); // a patch error or a wrong type
  }
}

function validatingPlugin({ table, client, source, log, authorizer, observer }: PluginOptions): AdmissionPlugin {
  return {
    name: "ValidatingAdmissionWebhook",
    handles: (request) => concerns(source, request),
    async validate(request, lookup) {
      const context: DispatchContext = { table, client, lookup, authorizer };
      const invocations: Invocation[] = [];
      for (const hook of await source.hooks()) {
        const invocation = await invocationOf(context, hook, request);
        if (invocation) invocations.push(invocation);
      }
      const errors: unknown[] = [];
      await Promise.all(
        invocations.map((invocation, index) =>
          validateBy(context, invocation, { request, index, log, observer }).catch((error: unknown) =>
            errors.push(error),
          ),
        ),
      );
      // The first that spoke, as upstream does; all are asked to the end.
      if (errors.length > 0) throw errors[0];
    },
  };
}

async function validateBy(
  context: DispatchContext,
  invocation: Invocation,
  { request, index, log, observer }: Pick<Mutation, "request" | "index" | "log" | "observer">,
): Promise<void> {
  const { hook, resource } = invocation;
  const object = await shownAs(resource, request.object);
  const old = await shownAs(resource, request.old);
  const call = observed(observer, { hook, request, step: "validate" }, () =>
    ask(context, { invocation, request, object, old, mutating: false }),
  );
  const answer = await forgiving(hook, log, call);
  if (!answer)
    request.audit?.annotate(
      `failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`,
      hook.webhook.name,
    );
  else if (!answer.allowed) throw denied(hook.webhook.name, answer.result);
}

/** Undefined: it couldn't be asked, and its failure policy says that this doesn't matter. */
async function forgiving<T>({ webhook }: Hook, log: Logger, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof WebhookCallError)) throw error;
    if (webhook.failurePolicy !== "Ignore") throw statusError.internal(error.message);
    log.warn("webhook failed, failing open", { webhook: webhook.name, error: error.message });
    return undefined;
  }
}
