/** Short ways to write pods and what a runtime has of them, for the tables in this folder's tests. */
import type { Pod, PodSpec } from "#api";
import { containerHash } from "./container-hash.ts";
import { containerByName, type PodRuntime, type RuntimeContainer, type RuntimeSandbox } from "./types.ts";

export function podOf(options: {
  init?: string[];
  sidecars?: string[];
  containers: string[];
  spec?: Partial<PodSpec>;
}): Pod {
  const make = (name: string) => ({ name, image: `demo/${name}:1` });
  const initContainers = [
    ...(options.init ?? []).map(make),
    ...(options.sidecars ?? []).map((name) => ({ ...make(name), restartPolicy: "Always" })),
  ];
  return {
    metadata: { name: "pod", namespace: "ns", uid: "uid-1" },
    spec: {
      ...(initContainers.length ? { initContainers } : {}),
      containers: options.containers.map(make),
      restartPolicy: "Always",
      ...options.spec,
    },
  };
}

/** Containers get the id `<name>-<restartCount>` and times in order of appearance; several runs of one name as an array, newest first. */
export function runtimeOf(
  pod: Pod,
  has: {
    sandboxes?: Partial<RuntimeSandbox>[];
    containers?: Record<string, Partial<RuntimeContainer> | Partial<RuntimeContainer>[]>;
  },
): PodRuntime {
  const sandboxes = (has.sandboxes ?? (has.containers ? [{}] : [])).map((sandbox, at) => ({
    id: `sandbox-${at}`,
    ready: true,
    attempt: 0,
    createdAt: 1000 - at,
    hostNetwork: false,
    ips: ["10.0.0.1"],
    ...sandbox,
  }));
  const containers = Object.entries(has.containers ?? {}).flatMap(([name, runs]) =>
    (Array.isArray(runs) ? runs : [runs]).map((run, at, all): RuntimeContainer => {
      const restartCount = all.length - 1 - at;
      const spec = containerByName(pod, name);
      return {
        id: `${name}-${restartCount}`,
        name,
        sandboxId: "sandbox-0",
        state: "running",
        createdAt: 2000 - at,
        startedAt: 2000 - at,
        finishedAt: run.state === "exited" ? 3000 - at : 0,
        exitCode: 0,
        reason: run.state === "exited" ? (run.exitCode ? "Error" : "Completed") : "",
        message: "",
        image: `demo/${name}:1`,
        imageRef: `sha256:${name}`,
        restartCount,
        hash: spec ? containerHash(spec) : "",
        logPath: "",
        ...run,
      };
    }),
  );
  return { uid: "uid-1", namespace: "ns", name: "pod", sandboxes, containers };
}
