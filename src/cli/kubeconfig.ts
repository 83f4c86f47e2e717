/** A kubeconfig with one cluster, one user and one context, everything inline. */
export interface KubeconfigInput {
  readonly server: string;
  /** PEM texts. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
  readonly cluster: string;
  readonly user: string;
}

export function printKubeconfig(input: KubeconfigInput): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return `apiVersion: v1
kind: Config
clusters:
- name: ${input.cluster}
  cluster:
    server: ${input.server}
    certificate-authority-data: ${base64(input.authority)}
users:
- name: ${input.user}
  user:
    client-certificate-data: ${base64(input.certificate)}
    client-key-data: ${base64(input.key)}
contexts:
- name: ${input.cluster}
  context:
    cluster: ${input.cluster}
    user: ${input.user}
current-context: ${input.cluster}
`;
}
