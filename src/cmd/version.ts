/** The Kubernetes release whose API and behaviour this is, as nodes report it. */
export const kubernetesVersion = "v1.36.0";
