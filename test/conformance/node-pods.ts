/** A real cluster with a busybox image, and pods in few words: what conformance tests of the node share. */
import { existsSync } from "node:fs";
import { type ClusterApi, connectApi, startTestCluster, type TestCluster, whyNoCluster } from "#testing";

export const image = "demo/busybox:1";
/** Its entry point and arguments are told by what it prints. */
export const speakingImage = "demo/speaking:1";
/** Debian's static busybox; its applets are called by name through the shell. */
const files = ["--file", "/bin/busybox:/bin/busybox", "--file", "/bin/busybox:/bin/sh"];

export const whyNoPods = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");

export interface NodeCluster {
  readonly cluster: TestCluster;
  readonly api: ClusterApi;
  close(): Promise<void>;
}

export async function startNodeCluster(...flags: string[]): Promise<NodeCluster> {
  const cluster = await startTestCluster(...flags);
  try {
    await cluster.sampan("image", "pack", image, ...files);
    const said = ["--entrypoint", "/bin/busybox echo image", "--cmd", "default arguments"];
    await cluster.sampan("image", "pack", speakingImage, ...files, ...said);
    const api = await connectApi(cluster);
    return {
      cluster,
      api,
      async close() {
        await api.close();
        await cluster.close();
      },
    };
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

export interface PodOptions {
  /** Goes over the container. */
  readonly container?: object;
  /** Goes over the pod's spec. */
  readonly spec?: object;
  readonly metadata?: object;
}

/** A pod with one container that runs a script: once, unless `spec` has another restart policy. */
export const podOf = (name: string, script: string, { container, spec, metadata }: PodOptions = {}) => ({
  metadata: { name, ...metadata },
  spec: {
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 0,
    containers: [containerOf("c", script, container)],
    ...spec,
  },
});

export const containerOf = (name: string, script: string, more: object = {}) => ({
  name,
  image,
  imagePullPolicy: "IfNotPresent",
  command: ["/bin/sh", "-c", script],
  ...more,
});

/** Runs until it is told to end. */
export const idle = "trap exit TERM; sleep 3600 & wait";

export const env = (values: Readonly<Record<string, string | object>>) =>
  Object.entries(values).map(([name, value]) =>
    typeof value === "string" ? { name, value } : { name, valueFrom: value },
  );
export const fieldEnv = (values: Readonly<Record<string, string>>) =>
  env(Object.fromEntries(Object.entries(values).map(([name, fieldPath]) => [name, { fieldRef: { fieldPath } }])));
