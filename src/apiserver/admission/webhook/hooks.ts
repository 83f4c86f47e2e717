/** All webhooks of one sort, compiled, in the order in which upstream asks them; made again when a configuration changes. */
import {
  type CompiledExpression,
  ExpressionCompiler,
  loadCel,
  type MutatingWebhook,
  type MutatingWebhookConfiguration,
  type ValidatingWebhook,
  type ValidatingWebhookConfiguration,
} from "#api";
import { assert } from "#base";
import { compileLabelSelector, type DeepReadonly, type LabelMatcher } from "#machinery";
import type { ResourceCache } from "../../cache/resource-cache.ts";
import type { WatchCaches } from "../../cache/watch-caches.ts";
import type { ResourceTable } from "../../resource.ts";

/** A validating webhook is one without a reinvocation policy. */
export interface Hook {
  /** Of this webhook in its configuration, for as long as neither is renamed. */
  readonly id: string;
  readonly configuration: string;
  readonly webhook: DeepReadonly<ValidatingWebhook & Pick<MutatingWebhook, "reinvocationPolicy">>;
  readonly namespaces: LabelMatcher;
  readonly objects: LabelMatcher;
  readonly conditions: readonly CompiledExpression[];
}

export interface HookSource {
  /** A promise only when the configurations have to be loaded first. */
  hooks(): readonly Hook[] | Promise<readonly Hook[]>;
}

type Configuration = DeepReadonly<ValidatingWebhookConfiguration | MutatingWebhookConfiguration>;

export function createHookSource(
  resource: "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
  { table, caches }: { table: ResourceTable; caches: WatchCaches },
): HookSource {
  let compiled: readonly Hook[] = [];
  let compiledFrom: ResourceCache | undefined;
  let compiledAt = -1;
  const compile = (cache: ResourceCache): readonly Hook[] | Promise<readonly Hook[]> => {
    if (cache === compiledFrom && cache.changedAt === compiledAt) return compiled;
    const configurations = cache.all().map((object) => object.decoded() as Configuration); // of one of the two
    const loading = configurations.some(hasConditions) ? loadCel() : undefined;
    if (loading) return loading.then(() => compile(cache));
    compiled = configurations.flatMap(compileConfiguration);
    compiledFrom = cache;
    compiledAt = cache.changedAt;
    return compiled;
  };
  return {
    hooks() {
      const kind = table.stored("admissionregistration.k8s.io", resource);
      assert(kind, `${resource} is a built-in kind`);
      const cache = caches.of(kind);
      return cache instanceof Promise ? cache.then(compile) : compile(cache);
    },
  };
}

const hasConditions = ({ webhooks = [] }: Configuration) =>
  webhooks.some(({ matchConditions = [] }) => matchConditions.length > 0);

/** Caches are in the order of names, which is the order of configurations. */
function compileConfiguration({ metadata, webhooks = [] }: Configuration): Hook[] {
  const compiler = new ExpressionCompiler({ composed: false, stored: "all" });
  const context = { params: false, authorizer: true, returns: "bool" } as const;
  return webhooks.map((webhook, position) => ({
    id: `${metadata.name}/${webhook.name}/${position}`,
    configuration: metadata.name ?? "",
    webhook,
    namespaces: compileLabelSelector(webhook.namespaceSelector ?? {}),
    objects: compileLabelSelector(webhook.objectSelector ?? {}),
    conditions: (webhook.matchConditions ?? []).map(({ expression }) => compiler.compile(expression, context)),
  }));
}
