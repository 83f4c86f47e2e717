/**
 * Every pod runs as a service account: the namespace's default when it names none. Its token is mounted, its pull secrets are inherited.
 * Upstream's ServiceAccount.
 */
import type { Container, Pod, PodSpec, SecretReference, ServiceAccount, Volume } from "#api";
import type { DeepReadonly } from "#machinery";
import { generateName } from "../registry/generate-name.ts";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "./chain.ts";
import { isResource, refuse } from "./refuse.ts";

const volumePrefix = "kube-api-access-";
const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const enforceAnnotation = "kubernetes.io/enforce-mountable-secrets";
const mirrorAnnotation = "kubernetes.io/config.mirror";
/** A namespace's default account is made by a controller right after the namespace: a pod that is faster waits for it. */
const defaultAccountWaitMs = 1_000;
/** Odd on purpose: marks tokens whose holders may be old and get a year (see the token request). */
const tokenSeconds = 3_607;

export const serviceAccount: AdmissionPlugin = {
  name: "ServiceAccount",
  handles: (request) =>
    isResource(request, "", "pods") && (request.operation === "CREATE" || request.operation === "UPDATE"),
  async mutate(request, lookup) {
    if (request.operation !== "CREATE") return;
    const { spec, metadata } = request.object as Pod; // pods only
    if (!spec) return;
    if (metadata.annotations?.[mirrorAnnotation] !== undefined) {
      checkMirror(request, spec);
      return;
    }
    spec.serviceAccountName ||= "default";
    spec.serviceAccount = spec.serviceAccountName;
    const account = await findAccount(request, spec.serviceAccountName, lookup);
    if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(spec);
    if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) {
      spec.imagePullSecrets = account.imagePullSecrets.map(({ name = "" }) => ({ name }));
    }
    checkSecrets(request, spec, account);
  },
};

async function findAccount(
  request: AdmissionRequest,
  name: string,
  lookup: Lookup,
): Promise<DeepReadonly<ServiceAccount>> {
  const kind = lookup.kind("", "serviceaccounts");
  const waitMs = name === "default" ? defaultAccountWaitMs : 0;
  const account = await lookup.get<ServiceAccount>(kind, request.namespace, name, waitMs);
  if (account) return account;
  const missing = `serviceaccount ${JSON.stringify(name)} not found`;
  throw refuse(request, `error looking up service account ${request.namespace}/${name}: ${missing}`);
}

function mountToken(spec: PodSpec): void {
  const present = spec.volumes?.find(({ name }) => name.startsWith(volumePrefix));
  const name = present?.name ?? generateName(volumePrefix);
  let mounted = false;
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    if (container.volumeMounts?.some((mount) => mount.mountPath === mountPath)) continue;
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }];
    mounted = true;
  }
  if (mounted && !present) spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)];
}

const tokenVolume = (name: string): Volume => ({
  name,
  projected: {
    sources: [
      { serviceAccountToken: { expirationSeconds: tokenSeconds, path: "token" } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      {
        downwardAPI: {
          items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
        },
      },
    ],
    defaultMode: 0o644,
  },
});

/** Mirror pods show what a kubelet runs by itself: they may not bring credentials in. */
function checkMirror(request: AdmissionRequest, spec: PodSpec): void {
  if (spec.serviceAccountName) throw refuse(request, "a mirror pod may not reference service accounts");
  if (usesSecrets(spec)) throw refuse(request, "a mirror pod may not reference secrets");
  const projects = spec.volumes?.some(({ projected }) =>
    projected?.sources?.some((source) => source.serviceAccountToken),
  );
  if (projects) throw refuse(request, "a mirror pod may not use ServiceAccountToken volume projections");
}

function usesSecrets({ imagePullSecrets, volumes, initContainers = [], containers = [] }: PodSpec): boolean {
  if (
    imagePullSecrets?.length ||
    volumes?.some(({ secret, projected }) => secret || projected?.sources?.some((each) => each.secret))
  ) {
    return true;
  }
  return [...initContainers, ...containers].some(
    ({ env, envFrom }) =>
      env?.some(({ valueFrom }) => valueFrom?.secretKeyRef) || envFrom?.some(({ secretRef }) => secretRef),
  );
}

/** Only for accounts that ask for it: a pod may use no other secrets than its account lists. */
function checkSecrets(request: AdmissionRequest, spec: PodSpec, account: DeepReadonly<ServiceAccount>): void {
  if (!/^(1|t|T|TRUE|true|True)$/.test(account.metadata.annotations?.[enforceAnnotation] ?? "")) return;
  const why = `is not allowed because service account ${account.metadata.name} does not reference that`;
  const allowed = new Set(account.secrets?.map(({ name }: DeepReadonly<SecretReference>) => name));
  for (const { secret } of spec.volumes ?? []) {
    if (secret && !allowed.has(secret.secretName)) {
      throw refuse(request, `volume with secret.secretName="${secret.secretName}" ${why} secret`);
    }
  }
  const check = (container: Container, what: string) => {
    for (const { name, valueFrom } of container.env ?? []) {
      const secret = valueFrom?.secretKeyRef?.name;
      if (valueFrom?.secretKeyRef && !allowed.has(secret)) {
        throw refuse(
          request,
          `${what} ${container.name} with envVar ${name} referencing secret.secretName="${secret}" ${why} secret`,
        );
      }
    }
  };
  for (const container of spec.initContainers ?? []) check(container, "init container");
  for (const container of spec.containers ?? []) check(container, "container");
  const pull = new Set(account.imagePullSecrets?.map(({ name }) => name));
  spec.imagePullSecrets?.forEach(({ name }, position) => {
    if (!pull.has(name)) throw refuse(request, `imagePullSecrets[${position}].name="${name}" ${why} imagePullSecret`);
  });
}
