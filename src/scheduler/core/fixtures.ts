/** Short ways to write nodes and pods in tests. */
import type { Node, NodeSpec, Pod, PodSpec } from "#api";

export function makeNode(
  name: string,
  options: {
    spec?: NodeSpec;
    labels?: Record<string, string>;
    allocatable?: Record<string, string>;
    status?: Node["status"];
  } = {},
): Node {
  const { spec = {}, labels = {}, allocatable = {}, status } = options;
  return {
    kind: "Node",
    apiVersion: "v1",
    metadata: { name, uid: name, labels: { "kubernetes.io/hostname": name, ...labels } },
    spec,
    status: { allocatable: { cpu: "4", memory: "8Gi", pods: "110", ...allocatable }, ...status },
  };
}

export function makePod(
  name: string,
  options: {
    spec?: Partial<PodSpec>;
    requests?: Record<string, string>;
    labels?: Record<string, string>;
    status?: Pod["status"];
  } = {},
): Pod {
  const { spec = {}, requests, labels = {}, status } = options;
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: { name, namespace: "ns", uid: `uid-${name}`, labels },
    spec: {
      schedulerName: "default-scheduler",
      containers: [{ name: "c", image: "image", ...(requests ? { resources: { requests } } : {}) }],
      ...spec,
    },
    ...(status ? { status } : {}),
  };
}
