/** `--node-labels`: what a node may say of itself. */
import { ConfigurationError, isLabelValue, isQualifiedName } from "#machinery";

/** In upstream's order. */
const allowed = [
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "beta.kubernetes.io/os",
  "failure-domain.beta.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "kubernetes.io/arch",
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "node.kubernetes.io/instance-type",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
];
const allowedNamespaces = ["kubelet.kubernetes.io", "node.kubernetes.io"];

const isWithin = (namespace: string, parents: readonly string[]) =>
  parents.some((parent) => namespace === parent || namespace.endsWith(`.${parent}`));

/** Throws ConfigurationError about labels that a node may not give itself, or that are none. */
export function checkNodeLabels(labels: Readonly<Record<string, string>>): void {
  const reserved = Object.keys(labels).filter((key) => {
    const namespace = key.includes("/") ? (key.split("/", 1)[0] ?? "") : "";
    return (
      isWithin(namespace, ["kubernetes.io", "k8s.io"]) &&
      !allowed.includes(key) &&
      !isWithin(namespace, allowedNamespaces)
    );
  });
  if (reserved.length > 0)
    throw new ConfigurationError(
      `failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [${reserved.sort().join(" ")}]\n--node-labels in the 'kubernetes.io' namespace must begin with an allowed prefix (${allowedNamespaces.join(", ")}) or be in the specifically allowed set (${allowed.join(", ")})`,
    );
  const wrong = Object.entries(labels).flatMap(([key, value]) =>
    (
      [
        [key, isQualifiedName(key)],
        [value, isLabelValue(value)],
      ] as const
    )
      .filter(([, problems]) => problems.length > 0)
      .map(([text, problems]) => `'${text}' - ${problems.join(", ")}`),
  );
  if (wrong.length > 0)
    throw new ConfigurationError(`failed to validate kubelet flags: invalid node labels: ${wrong.join("; ")}`);
}
