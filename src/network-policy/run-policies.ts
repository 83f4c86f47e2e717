/** Network policies on one node, from the first that exists until there is none: its informers and its table exist only meanwhile. */
import type { EndpointSlice, Namespace, NetworkPolicy, Pod } from "#api";
import type { ApplyScript } from "#base";
import { type Informer, type ReflectorSink, runReflector } from "#client";
import type { DeepReadonly, KubernetesObject, Transport } from "#machinery";
import { removeText } from "./core/table-text.ts";
import { createEnforcer, type Enforcer, type EnforcerOptions } from "./policy-enforcer.ts";

export interface PoliciesOptions extends EnforcerOptions {
  readonly policies: Informer<NetworkPolicy>;
  readonly slices: Informer<EndpointSlice>;
  readonly transport: Transport;
}

export interface RunningPolicies {
  readonly enforcer: Enforcer;
  /** Everything is known; rules are made from here on. */
  readonly begun: Promise<void>;
  /** After the signal, when all has ended. */
  readonly done: Promise<void>;
}

/** Removes the table and with it every rule of ours. */
export const removePolicies = (apply: ApplyScript): Promise<void> => apply(removeText);

export function runPolicies(options: PoliciesOptions, signal: AbortSignal): RunningPolicies {
  const { policies, slices, transport, clock, log } = options;
  const enforcer = createEnforcer(options);
  const { setPolicy, removePolicy, setSlice, removeSlice } = enforcer;
  const remove = [
    policies.addHandler({ added: setPolicy, updated: setPolicy, deleted: removePolicy }),
    slices.addHandler({
      added: setSlice,
      updated(slice, old) {
        removeSlice(old);
        setSlice(slice);
      },
      deleted: removeSlice,
    }),
  ];
  // No informers: of thousands of pods only a few fields are kept.
  const pods = follow<Pod>({ set: enforcer.setPod, remove: enforcer.removePod });
  const namespaces = follow<Namespace>({
    set: ({ metadata: { name = "", labels = {} } }) => enforcer.setNamespace(name, labels),
    remove: ({ metadata: { name = "" } }) => enforcer.removeNamespace(name),
  });
  const reflectors = [
    runReflector({ transport, path: "/api/v1/pods", clock, log, sink: pods.sink }, signal),
    runReflector({ transport, path: "/api/v1/namespaces", clock, log, sink: namespaces.sink }, signal),
  ];
  const begun = Promise.all([pods.synced, namespaces.synced]).then(() => enforcer.begin());
  const end = async () => {
    await Promise.all(reflectors);
    for (const each of remove) each();
    await enforcer.close();
  };
  return { enforcer, begun, done: end() };
}

/** A reflector's sink that keeps names only. */
function follow<T extends KubernetesObject>(to: {
  set(object: DeepReadonly<T>): void;
  remove(object: DeepReadonly<T>): void;
}): { readonly sink: ReflectorSink; readonly synced: Promise<void> } {
  type Seen = Pick<NonNullable<KubernetesObject["metadata"]>, "namespace" | "name" | "uid">;
  const known = new Map<string, Seen>();
  const synced = Promise.withResolvers<void>();
  const keyOf = ({ namespace, name }: Seen) => `${namespace}/${name}`;
  const upsert = (object: KubernetesObject) => {
    const { namespace, name, uid } = object.metadata ?? {};
    const seen = { ...(namespace && { namespace }), ...(name && { name }), ...(uid && { uid }) };
    known.set(keyOf(seen), seen);
    to.set(object as DeepReadonly<T>); // the path answers objects of this kind
  };
  const remove = (seen: Seen) => {
    known.delete(keyOf(seen));
    to.remove({ metadata: seen } as DeepReadonly<T>); // who removes looks at names only
  };
  return {
    synced: synced.promise,
    sink: {
      async replace(items) {
        const listed = new Set(items.map(({ metadata = {} }) => keyOf(metadata)));
        for (const [key, seen] of known) if (!listed.has(key)) remove(seen);
        for (const item of items) upsert(item);
        synced.resolve();
      },
      upsert,
      remove: ({ metadata = {} }) => remove(metadata),
    },
  };
}
