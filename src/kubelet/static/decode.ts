/**
 * Pods that a node reads from files and URLs, without an API server: decoded, filled in and checked as the API server would, then given
 * the name, uid and annotations that upstream gives them. What needs the API server (secrets, claims, …) is refused.
 */
import { createHash } from "node:crypto";
import { facts, kinds, type Pod, podReferences, type Volume } from "#api";
import {
  decodeObject,
  isStatusError,
  nameIsDnsSubdomain,
  parseYamlText,
  printFieldErrors,
  validateObjectMeta,
} from "#machinery";

/** `file`: the path; `http`: the URL. */
export interface StaticSource {
  readonly kind: "file" | "http";
  readonly name: string;
}

export const sourceAnnotation = "kubernetes.io/config.source";
export const hashAnnotation = "kubernetes.io/config.hash";
export const seenAnnotation = "kubernetes.io/config.seen";
export const mirrorAnnotation = "kubernetes.io/config.mirror";

/** Upstream's: a manifest is no place for data. */
export const manifestBytesMax = 10 * 2 ** 20;

/** What a source holds can't be used; the message is upstream's. */
export class ManifestError extends Error {
  override name = "ManifestError";
}

type Manifest = Record<string, unknown>;

/** One pod, or (of a URL) a list. Throws ManifestError. */
export async function decodeManifest(text: string, source: StaticSource, nodeName: string): Promise<Pod[]> {
  const read = await parseYamlText(text).catch((error: Error) => {
    throw new ManifestError(unusable(text, source, error.message));
  });
  const value = (read.value ?? {}) as Manifest; // what has no kind is refused
  for (const [name, field] of [
    ["Kind", value.kind],
    ["apiVersion", value.apiVersion],
  ] as const)
    if (!field)
      throw new ManifestError(unusable(text, source, `Object '${name}' is missing in '${JSON.stringify(value)}'`));
  const { kind, apiVersion } = value;
  if (apiVersion !== "v1" || (kind !== "Pod" && !(kind === "PodList" && source.kind === "http")))
    throw new ManifestError(unusable(text, source, `no kind "${kind}" is registered for version "${apiVersion}"`));
  const items = kind === "Pod" ? [value] : ((value.items ?? []) as Manifest[]); // each is decoded as a pod
  return Promise.all(items.map((item) => decodePod({ ...item, kind: "Pod", apiVersion }, source, nodeName)));
}

function unusable(text: string, { kind, name }: StaticSource, why: string): string {
  if (kind === "file") return `${name}: couldn't parse as pod(${why}), please check config file`;
  return `${name}: received '${text.slice(0, shownMax)}', but couldn't parse as single (${why}) or multiple pods (${why})`;
}

/** Of what a URL answered instead of pods. */
const shownMax = 1000;

async function decodePod(manifest: Manifest, source: StaticSource, nodeName: string): Promise<Pod> {
  const podKind = kinds.find(({ group, kind }) => group === "" && kind === "Pod");
  const text = JSON.stringify(manifest);
  const { object } = await decodeObject(Buffer.from(text), {
    mediaType: "application/json",
    expected: { apiVersion: "v1", kind: "Pod" },
    schemaOf: facts.typeOf,
    fieldValidation: "Ignore",
  }).catch((error: unknown) => {
    if (!isStatusError(error)) throw error;
    throw new ManifestError(unusable(text, source, error.message));
  });
  const pod = object as unknown as Pod; // of that kind
  if (!pod.metadata?.name) throw new ManifestError("invalid pod: name is needed for the pod");
  podKind?.defaults?.(pod);
  identify(pod, source, nodeName);
  const context = {
    user: { name: `system:node:${nodeName}`, uid: "", groups: [], extra: {} },
    now: 0,
    resource: { group: "", version: "v1", resource: "pods" },
    subresource: "",
  };
  const problems = [
    ...validateObjectMeta(pod.metadata, { namespaced: true, checkName: nameIsDnsSubdomain }),
    ...(podKind?.validate?.(pod, context) ?? []),
  ];
  if (problems.length > 0)
    throw new ManifestError(`invalid pod: [${problems.map((each) => printFieldErrors([each])).join(" ")}]`);
  const reference = apiReference(pod);
  if (reference !== undefined) throw new ManifestError(`static pods may not reference ${reference}`);
  return pod;
}

/** What makes it this node's. The uid says where it comes from and what it is: another text is another pod. */
function identify(pod: Pod, source: StaticSource, nodeName: string): void {
  const { metadata, spec } = pod;
  if (!metadata.uid) {
    const from = source.kind === "file" ? `host:${nodeName}file:${source.name}` : `url:${source.name}`;
    metadata.uid = createHash("md5").update(JSON.stringify(pod, sortedKeys)).update(from).digest("hex");
  }
  metadata.name = `${metadata.name}-${nodeName.toLowerCase()}`;
  metadata.namespace ||= "default";
  metadata.annotations = {
    ...metadata.annotations,
    [hashAnnotation]: metadata.uid,
    [sourceAnnotation]: source.kind,
  };
  pod.status = { phase: "Pending" };
  if (!spec) return;
  spec.nodeName = nodeName;
  // So that trouble of the node doesn't end it.
  const always = { operator: "Exists", effect: "NoExecute" };
  const has = spec.tolerations?.some(
    ({ operator, effect, key }) => operator === always.operator && effect === always.effect && !key,
  );
  if (source.kind === "file" && !has) spec.tolerations = [...(spec.tolerations ?? []), always];
}

const sortedKeys = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/** By volume source: what of the API it needs. */
const needs: readonly (readonly [keyof Volume, what: string])[] = [
  ["configMap", "configmaps (via configmap volumes)"],
  ["secret", "secrets (via secret volumes)"],
  ["csi", "csidrivers (via CSI volumes)"],
  ["glusterfs", "endpoints (via glusterFS volumes)"],
  ["persistentVolumeClaim", "persistentvolumeclaims"],
  ["ephemeral", "persistentvolumeclaims (via ephemeral volumes)"],
  ["azureFile", "secrets (via azureFile volumes)"],
];
const projectedNeeds = [
  ["configMap", "configmaps (via projected volumes)"],
  ["secret", "secrets (via projected volumes)"],
  ["serviceAccountToken", "serviceaccounts (via projected volumes)"],
  ["clusterTrustBundle", "clustertrustbundles"],
  ["podCertificate", "podcertificates"],
] as const;

/** The first thing that only the API server has. */
function apiReference(pod: Pod): string | undefined {
  const { spec } = pod;
  const { secrets } = podReferences(pod);
  if (spec?.serviceAccountName) return "serviceaccounts";
  if (secrets.size > 0) return "secrets";
  // Maps of volumes are named below, with the volume.
  if (podReferences({ ...pod, spec: { ...spec, containers: spec?.containers ?? [], volumes: [] } }).configMaps.size > 0)
    return "configmaps";
  if (spec?.resourceClaims?.length) return "resourceclaims";
  for (const volume of spec?.volumes ?? []) {
    const found = needs.find(([field]) => volume[field]);
    if (found) return found[1];
    for (const source of volume.projected?.sources ?? []) {
      const needed = projectedNeeds.find(([field]) => source[field]);
      if (needed) return needed[1];
    }
  }
  return undefined;
}
