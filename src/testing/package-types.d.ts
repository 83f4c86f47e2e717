/** A Kubernetes cluster inside your test process: API server, controllers, scheduler and simulated nodes. Nothing is needed but Node.js 26. */

/** Objects as they are on the wire. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

export interface ResourceClient {
  get(name: string): Promise<KubernetesObject>;
  list(options?: {
    readonly labelSelector?: string;
    readonly fieldSelector?: string;
  }): Promise<{ readonly items: readonly KubernetesObject[] }>;
  create(object: object): Promise<KubernetesObject>;
  update(object: object): Promise<KubernetesObject>;
  patch(
    name: string,
    patch: unknown,
    options: { readonly type: "json" | "merge" | "strategic" | "apply"; readonly subresource?: string },
  ): Promise<KubernetesObject>;
  delete(name: string, options?: { readonly gracePeriodSeconds?: number }): Promise<void>;
}

export interface Client {
  /** `{ group: "apps", version: "v1", resource: "deployments", namespaced: true }`. */
  resource(
    reference: {
      readonly group: string;
      readonly version: string;
      readonly resource: string;
      readonly namespaced: boolean;
    },
    namespace?: string,
  ): ResourceClient;
}

export interface Clock {
  now(): number;
  after(delayMs: number, run: () => void): () => void;
}

export interface ClusterOptions {
  /** How many simulated nodes, or more about them; none when missing. */
  readonly nodes?:
    | number
    | {
        readonly count: number;
        /** `node-0`, `node-1`, … when missing. */
        readonly names?: (index: number) => string;
        /** cpu 32, memory 128Gi, pods 110 when missing. */
        readonly capacity?: Readonly<Record<string, string>>;
        readonly labels?: (index: number) => Readonly<Record<string, string>>;
        /** How long containers run that are to end, unless annotations of their pod say. */
        readonly usualRunMs?: number;
      };
  /** `scaledClock(30)`: minutes pass in seconds. */
  readonly clock?: Clock;
  /** Of the API server; any free one when missing. */
  readonly port?: number;
  /** As the flags of these names. */
  readonly featureGates?: readonly string[];
  readonly runtimeConfig?: readonly string[];
}

export interface Cluster {
  /** Acts as the administrator. */
  readonly client: Client;
  clientFor(user: { readonly name: string; readonly groups?: readonly string[] }): Client;
  /** `https://127.0.0.1:…`, for clients of your own with the kubeconfig. */
  readonly server: string;
  readonly kubeconfigPath: string;
  readonly kubeconfig: string;
  readonly nodes:
    | {
        readonly names: readonly string[];
        /** Ends a running container now. */
        exit(pod: { readonly namespace: string; readonly name: string }, container: string, exitCode: number): boolean;
        /** Takes a node's power away, or gives it back. */
        setPower(node: string, on: boolean): void;
      }
    | undefined;
  close(): Promise<void>;
}

export function startCluster(options?: ClusterOptions): Promise<Cluster>;
export function scaledClock(speed: number): Clock;
