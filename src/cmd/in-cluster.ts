/** How a pod reaches the API server of its own cluster, as client-go does: by what the kubelet put into its environment and files. */
import type { Kubeconfig } from "#client";

const folder = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Undefined outside of a pod. */
export function inClusterConfig(env: NodeJS.ProcessEnv): Kubeconfig | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (!host || !port) return undefined;
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const name = "in-cluster";
  return {
    currentContext: name,
    clusters: new Map([[name, { server, "certificate-authority": `${folder}/ca.crt` }]]),
    users: new Map([[name, { tokenFile: `${folder}/token` }]]),
    contexts: new Map([[name, { cluster: name, user: name }]]),
  };
}
