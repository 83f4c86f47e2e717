/**
 * Which values of the store are encrypted and by what, as a configuration says; it may be exchanged while the server runs: what was read
 * with the old keys is in the caches already, and a list that no longer reads something shows so at the next look.
 */
import { createHash } from "node:crypto";
import type { Clock, Logger } from "#base";
import { type EncryptionConfiguration, parseEncryptionConfiguration } from "./configuration.ts";
import type { KmsProvider } from "./kms.ts";
import { buildTransformers, type TransformerTable, transformerOf } from "./providers.ts";
import { identity, type Transformer } from "./transformer.ts";

export interface EncryptionOptions {
  readonly configuration: EncryptionConfiguration;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Generation {
  readonly table: TransformerTable;
  readonly plugins: readonly KmsProvider[];
  /** Of all plugins together: how long requests with the old keys may still be under way. */
  readonly graceMs: number;
  /** By the prefix of a kind's keys: looked up for every value. */
  readonly byPrefix: Map<string, Transformer>;
}

/** New keys wait so long for a plugin that isn't well. */
const reloadGraceMsMin = 10_000;
const recheckMs = 100;

export class Encryption {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #cancels = new Set<() => void>();
  #generation: Generation;

  private constructor(generation: Generation, { clock, log }: Pick<EncryptionOptions, "clock" | "log">) {
    this.#generation = generation;
    this.#clock = clock;
    this.#log = log;
  }

  static async open(options: EncryptionOptions): Promise<Encryption> {
    return new Encryption(await openGeneration(options), options);
  }

  /** Of the values under this prefix of keys (`/registry/apps/deployments/`). */
  of(prefix: string): Transformer {
    const { byPrefix, table } = this.#generation;
    let found = byPrefix.get(prefix);
    if (!found) {
      const parts = prefix.split("/").slice(2, -1);
      const [group = "", resource = ""] = parts.length > 1 ? parts : ["", parts[0]];
      found = (!notResources.has(prefix) && transformerOf(table, { group, resource })) || identity;
      byPrefix.set(prefix, found);
    }
    return found;
  }

  /** Exchanges the keys when their plugins are well; rejects and keeps the old ones otherwise. */
  async reload(text: string): Promise<void> {
    const configuration = await parseEncryptionConfiguration(text, { reload: true });
    const next = await openGeneration({ configuration, clock: this.#clock, log: this.#log });
    const until = this.#clock.now() + Math.max(next.graceMs, reloadGraceMsMin);
    for (;;) {
      const problem = await problemOf(next);
      if (problem === undefined) break;
      if (this.#clock.now() >= until) {
        closeAll(next);
        throw new Error(`health check for new transformers failed: ${problem}`);
      }
      await new Promise<void>((resolve) => this.#clock.after(recheckMs, resolve));
    }
    const old = this.#generation;
    this.#generation = next;
    this.#log.info("encryption keys were exchanged", { hash: hashOf(text) });
    const cancel = this.#clock.after(old.graceMs, () => {
      this.#cancels.delete(close);
      closeAll(old);
    });
    const close = () => {
      cancel();
      closeAll(old);
    };
    this.#cancels.add(close);
  }

  /** Of the plugins; undefined: there are none, or all are well. */
  check(): Promise<string | undefined> | undefined {
    return this.#generation.plugins.length === 0 ? undefined : problemOf(this.#generation);
  }

  get hasPlugins(): boolean {
    return this.#generation.plugins.length > 0;
  }

  close(): void {
    closeAll(this.#generation);
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }
}

/** What lies in the store beside objects. */
const notResources = new Set(["/registry/nodeports/", "/registry/masterleases/"]);

async function openGeneration({ configuration, clock, log }: EncryptionOptions): Promise<Generation> {
  const plugins: KmsProvider[] = [];
  let timeouts = 0;
  try {
    const table = await buildTransformers(configuration, {
      async kms(settings) {
        if (settings.apiVersion !== "v2")
          throw new Error(
            "KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.  Set --feature-gates=KMSv1=true to use the deprecated KMSv1 feature.",
          );
        const [{ openKms }, { connectKms }] = await Promise.all([import("./kms.ts"), import("./kms-client.ts")]);
        const { timeout = 0 } = settings;
        timeouts += timeout;
        const provider = await openKms(settings, { client: connectKms(settings.endpoint, timeout), clock, log });
        plugins.push(provider);
        return provider;
      },
    });
    return { table, plugins, graceMs: 2 * timeouts, byPrefix: new Map() };
  } catch (error) {
    for (const plugin of plugins) plugin.close();
    throw error;
  }
}

function closeAll({ plugins }: Generation): void {
  for (const plugin of plugins) plugin.close();
}

async function problemOf({ plugins }: Generation): Promise<string | undefined> {
  const problems = await Promise.all(plugins.map((plugin) => plugin.check()));
  const found = problems.flatMap((problem, i) => (problem === undefined ? [] : [`kms-provider-${i}: ${problem}`]));
  return found.length === 0 ? undefined : found.length === 1 ? found[0] : `[${found.join(", ")}]`;
}

const hashOf = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;
