/**
 * Serves the Ingresses of our class. As long as there is none of any class, one watch is all there is; with the first the classes are looked at,
 * and only with the first that is ours the rest is loaded and the ports are opened. When the last one goes, so does all of it.
 */
import type { Ingress, IngressClass } from "#api";
import { createInformers, type Informer } from "#client";
import type { DeepReadonly } from "#machinery";
import type { Active } from "./active.ts";
import { isOurs, readClasses } from "./claim.ts";
import type { IngressOptions } from "./options.ts";

/** Resolves when the signal aborted and all has ended. */
export async function runIngress(options: IngressOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, log } = options;
  const informers = createInformers(client, { clock, log });
  const running = informers.run(signal);
  const ingresses = informers.of("networking.k8s.io/v1/ingresses");
  await Promise.race([ingresses.synced(), running]);
  await firstOf(ingresses, signal);
  if (!signal.aborted) {
    const classes = informers.of("networking.k8s.io/v1/ingressclasses");
    await Promise.race([classes.synced(), running]);
    await serve(options, { ingresses, classes }, signal);
  }
  await running;
}

async function firstOf(ingresses: Informer<Ingress>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const remove = ingresses.addHandler({ added: () => resolve() });
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  remove();
}

interface Watched {
  readonly ingresses: Informer<Ingress>;
  readonly classes: Informer<IngressClass>;
}

async function serve(options: IngressOptions, { ingresses, classes }: Watched, signal: AbortSignal): Promise<void> {
  const { log } = options;
  /** What is ours, as it was seen last. */
  const ours = new Map<string, DeepReadonly<Ingress>>();
  const changed = new Set<string>();
  let active: Active | undefined;
  let wake = Promise.withResolvers<void>();
  let claim = readClasses(classes.list());

  const keyOf = ({ metadata }: DeepReadonly<Ingress>) => `${metadata.namespace}/${metadata.name}`;
  const judge = (ingress: DeepReadonly<Ingress>): void => {
    const key = keyOf(ingress);
    const isNow = ingresses.get(key) === ingress && isOurs(ingress, claim);
    if (!isNow && !ours.has(key)) return;
    if (isNow) ours.set(key, ingress);
    else ours.delete(key);
    changed.add(key);
    wake.resolve();
  };
  const judgeAll = () => {
    claim = readClasses(classes.list());
    for (const ingress of ingresses.list()) judge(ingress);
  };
  const remove = [
    ingresses.addHandler({ added: judge, updated: judge, deleted: judge }),
    classes.addHandler({ added: judgeAll, updated: judgeAll, deleted: judgeAll }),
  ];
  signal.addEventListener("abort", () => wake.resolve(), { once: true });
  try {
    while (!signal.aborted) {
      await wake.promise;
      wake = Promise.withResolvers<void>();
      if (signal.aborted) break;
      if (ours.size > 0 && !active) {
        const { startActive } = await import("./active.ts");
        active = startActive(options);
        for (const key of ours.keys()) changed.add(key);
      }
      const keys = [...changed];
      changed.clear();
      for (const key of keys) active?.set(key, ours.get(key), ingresses.get(key));
      if (ours.size > 0 || !active) continue;
      const ended = active;
      active = undefined;
      await ended.close({ isOver: false });
    }
  } finally {
    for (const each of remove) each();
    await active?.close({ isOver: true });
    log.debug("ingress: over");
  }
}
