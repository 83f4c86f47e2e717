/**
 * Programs beside the scheduler that have a say (`extenders`): over HTTP they reject nodes, score them, choose among victims and bind.
 * Follows k8s.io/kube-scheduler/extender/v1, whose fields are written as Go's structs are (`NodeNames`).
 */
import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import type { Node } from "#api";
import type { DeepReadonly } from "#machinery";
import { type FilterPlugin, type Rejection, rejection } from "./core/framework.ts";
import type { NodeInfo } from "./core/node-info.ts";
import type { PodInfo, ReadonlyPod } from "./core/pod-info.ts";
import type { Candidate } from "./core/preempt.ts";

export interface ExtenderConfiguration {
  readonly urlPrefix: string;
  readonly filterVerb?: string;
  readonly preemptVerb?: string;
  readonly prioritizeVerb?: string;
  readonly weight?: number;
  readonly bindVerb?: string;
  readonly enableHTTPS?: boolean;
  readonly tlsConfig?: {
    readonly insecure?: boolean;
    readonly serverName?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
    readonly caFile?: string;
    /** Base64. */
    readonly certData?: string;
    readonly keyData?: string;
    readonly caData?: string;
  };
  /** Milliseconds. */
  readonly httpTimeout?: number;
  /** It knows the nodes, so that names are enough. */
  readonly nodeCacheCapable?: boolean;
  readonly managedResources?: readonly { readonly name: string; readonly ignoredByScheduler?: boolean }[];
  /** Pods are placed also when it fails. */
  readonly ignorable?: boolean;
}

export interface Filtered {
  readonly nodes: readonly NodeInfo[];
  readonly rejections: ReadonlyMap<NodeInfo, Rejection>;
}

const timeoutMsUsual = 5000;
const answerBytesMax = 64 * 1024 * 1024;
/** Of extenders' scores to ours. */
const scoreFactor = 10;

/** In whose name pods wait that an extender rejected: whatever happens may help. */
export const extenderRule: FilterPlugin = {
  name: "Extender",
  prepare: () => undefined,
  events: [
    "node-added",
    "node-updated",
    "node-deleted",
    "pod-added",
    "pod-updated",
    "pod-deleted",
    "claim-changed",
    "storage-changed",
  ],
  helps: () => true,
};

interface MetaVictims {
  readonly Pods?: readonly { readonly UID: string }[] | null;
  readonly NumPDBViolations?: number;
}

export interface Extender {
  readonly isIgnorable: boolean;
  readonly preempts: boolean;
  readonly binds: boolean;
  isInterested(pod: ReadonlyPod): boolean;
  filter(pod: PodInfo, nodes: readonly NodeInfo[]): Promise<Filtered>;
  /** By node's name, weighted; what it doesn't name gets nothing. */
  prioritize(pod: PodInfo, nodes: readonly NodeInfo[]): Promise<ReadonlyMap<string, number>>;
  /** Those candidates that it leaves, with the victims that it leaves. */
  preempt(pod: PodInfo, candidates: readonly Candidate[]): Promise<readonly Candidate[]>;
  bind(pod: ReadonlyPod, nodeName: string): Promise<void>;
}

/** Those that may be ignored are asked last. */
export async function createExtenders(configurations: readonly ExtenderConfiguration[]): Promise<readonly Extender[]> {
  const sorted = configurations.toSorted((a, b) => Number(a.ignorable ?? false) - Number(b.ignorable ?? false));
  return Promise.all(sorted.map(createExtender));
}

async function createExtender(configuration: ExtenderConfiguration): Promise<Extender> {
  const { urlPrefix, filterVerb, preemptVerb, prioritizeVerb, bindVerb, weight = 0, ignorable = false } = configuration;
  const { nodeCacheCapable = false, managedResources = [] } = configuration;
  const managed = new Set(managedResources.map(({ name }) => name));
  const post = await createPost(configuration);

  const nodesOf = (nodes: readonly NodeInfo[]) =>
    nodeCacheCapable
      ? { Nodes: null, NodeNames: nodes.map(({ name }) => name) }
      : { Nodes: { metadata: {}, items: nodes.map(({ node }) => node) }, NodeNames: null };

  return {
    isIgnorable: ignorable,
    preempts: Boolean(preemptVerb),
    binds: Boolean(bindVerb),
    isInterested({ spec }) {
      if (managed.size === 0) return true;
      return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(({ resources }) =>
        [resources?.requests, resources?.limits].some((each) =>
          Object.keys(each ?? {}).some((name) => managed.has(name)),
        ),
      );
    },
    async filter(pod, nodes) {
      if (!filterVerb) return { nodes, rejections: new Map() };
      const answer = (await post(filterVerb, { Pod: pod.pod, ...nodesOf(nodes) })) as {
        Nodes?: { items?: readonly DeepReadonly<Node>[] } | null;
        NodeNames?: readonly string[] | null;
        FailedNodes?: Readonly<Record<string, string>> | null;
        FailedAndUnresolvableNodes?: Readonly<Record<string, string>> | null;
        Error?: string;
      }; // every field may be missing
      if (answer.Error) throw new Error(answer.Error);
      const byName = new Map(nodes.map((node) => [node.name, node]));
      const names =
        nodeCacheCapable && answer.NodeNames
          ? answer.NodeNames
          : (answer.Nodes?.items ?? []).map(({ metadata }) => metadata.name ?? "");
      const left = names.map((name) => {
        const node = byName.get(name);
        if (node) return node;
        throw new Error(
          `extender "${urlPrefix}" claims a filtered node "${name}" which is not found in the input node list`,
        );
      });
      const rejections = new Map<NodeInfo, Rejection>();
      const reject = (reasons: Readonly<Record<string, string>> | null | undefined, isResolvable: boolean) => {
        for (const [name, reason] of Object.entries(reasons ?? {})) {
          const node = byName.get(name);
          if (node) rejections.set(node, rejection(isResolvable, reason));
        }
      };
      reject(answer.FailedNodes, true);
      reject(answer.FailedAndUnresolvableNodes, false);
      return { nodes: left, rejections };
    },
    async prioritize(pod, nodes) {
      if (!prioritizeVerb) return new Map();
      const answer = (await post(prioritizeVerb, { Pod: pod.pod, ...nodesOf(nodes) })) as
        | readonly { readonly Host: string; readonly Score: number }[]
        | null; // a list or nothing
      return new Map((answer ?? []).map(({ Host, Score }) => [Host, Score * weight * scoreFactor]));
    },
    async preempt(pod, candidates) {
      if (!preemptVerb) return candidates;
      const body = Object.fromEntries(
        candidates.map(({ node, victims, violations }) => [
          node.name,
          {
            Pods: victims.map((victim) => (nodeCacheCapable ? { UID: victim.uid } : victim.pod)),
            NumPDBViolations: violations,
          },
        ]),
      );
      const answer = (await post(preemptVerb, {
        Pod: pod.pod,
        NodeNameToVictims: nodeCacheCapable ? null : body,
        NodeNameToMetaVictims: nodeCacheCapable ? body : null,
      })) as { NodeNameToMetaVictims?: Readonly<Record<string, MetaVictims>> | null }; // may be missing
      const byName = new Map(candidates.map(({ node }) => [node.name, node]));
      return Object.entries(answer.NodeNameToMetaVictims ?? {}).flatMap(([name, { Pods, NumPDBViolations = 0 }]) => {
        const node = byName.get(name);
        if (!node) throw new Error(`nodeinfo not found for node name "${name}"`);
        const victims = (Pods ?? []).map(({ UID }) => {
          const victim = node.pods.get(UID);
          if (victim) return victim;
          throw new Error(
            `extender: ${urlPrefix} claims to preempt pod (UID: ${UID}) on node: ${name}, but the pod is not found on that node`,
          );
        });
        if (victims.length > 0) return [{ node, victims, violations: NumPDBViolations }];
        if (ignorable) return [];
        throw new Error(`expected at least one victim pod on node "${name}"`);
      });
    },
    async bind({ metadata }, nodeName) {
      const answer = (await post(bindVerb ?? "", {
        PodName: metadata.name,
        PodNamespace: metadata.namespace,
        PodUID: metadata.uid,
        Node: nodeName,
      })) as { Error?: string }; // may be missing
      if (answer.Error) throw new Error(answer.Error);
    },
  };
}

async function createPost({ urlPrefix, enableHTTPS = false, tlsConfig = {}, httpTimeout }: ExtenderConfiguration) {
  const base = urlPrefix.replace(/\/+$/, "");
  const isTls = base.startsWith("https:");
  // Only where there are extenders.
  const { request, Agent } = await import(isTls ? "node:https" : "node:http");
  const read = async (file: string | undefined, data: string | undefined) =>
    data ? Buffer.from(data, "base64") : file ? readFile(file) : undefined;
  const { insecure = false, serverName, caFile, caData, certFile, certData, keyFile, keyData } = tlsConfig;
  const [ca, cert, key] = await Promise.all([read(caFile, caData), read(certFile, certData), read(keyFile, keyData)]);
  // HTTPS without an authority trusts whoever answers, as upstream.
  const rejectUnauthorized = !insecure && (ca !== undefined || !enableHTTPS);
  const options: RequestOptions = {
    method: "POST",
    headers: { "content-type": "application/json" },
    agent: new Agent({ keepAlive: true }),
    ...(isTls ? { ca, cert, key, rejectUnauthorized, ...(serverName ? { servername: serverName } : {}) } : {}),
  };
  return (verb: string, body: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const url = `${base}/${verb}`;
      const signal = AbortSignal.timeout(httpTimeout || timeoutMsUsual);
      const sent = request(url, { ...options, signal }, (response: import("node:http").IncomingMessage) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > answerBytesMax)
            response.destroy(new Error(`${url} answers with more than ${answerBytesMax} bytes`));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () => {
          if (response.statusCode !== 200) {
            reject(new Error(`failed ${verb} with extender at URL ${url}, code ${response.statusCode}`));
            return;
          }
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString() || "null") ?? {});
          } catch (error) {
            reject(new Error(`${url} answers no JSON`, { cause: error }));
          }
        });
      });
      sent.on("error", reject);
      sent.end(JSON.stringify(body));
    });
}
