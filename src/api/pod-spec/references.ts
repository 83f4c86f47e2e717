/** What a pod, and a volume behind its claims, needs read on its node. Upstream's pod and volume visitors. */
import type { DeepReadonly } from "#machinery";
import type { EnvFromSource, EnvVar, PersistentVolume, Pod, PodSpec, Volume } from "../types.d.ts";

export interface PodReferences {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
  readonly claims: ReadonlySet<string>;
  readonly resourceClaims: ReadonlySet<string>;
  readonly serviceAccount: string;
}

interface Container {
  readonly env?: readonly EnvVar[];
  readonly envFrom?: readonly EnvFromSource[];
}

type Names = (string | undefined)[];

export function podReferences(pod: DeepReadonly<Pod>): PodReferences {
  const { spec, status, metadata } = pod as Pod; // only read
  const secrets: Names = (spec?.imagePullSecrets ?? []).map(({ name }) => name);
  const configMaps: Names = [];
  for (const container of containersOf(spec)) {
    for (const { valueFrom } of container.env ?? []) {
      secrets.push(valueFrom?.secretKeyRef?.name);
      configMaps.push(valueFrom?.configMapKeyRef?.name);
    }
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      secrets.push(secretRef?.name);
      configMaps.push(configMapRef?.name);
    }
  }
  const claims: Names = [];
  for (const volume of spec?.volumes ?? []) {
    secrets.push(...secretsOfVolume(volume));
    configMaps.push(volume.configMap?.name, ...(volume.projected?.sources ?? []).map((each) => each.configMap?.name));
    claims.push(volume.persistentVolumeClaim?.claimName);
    if (volume.ephemeral) claims.push(`${metadata.name}-${volume.name}`);
  }
  const resourceClaims: Names = [
    ...(spec?.resourceClaims ?? []).map(({ resourceClaimName }) => resourceClaimName),
    ...(status?.resourceClaimStatuses ?? []).map(({ resourceClaimName }) => resourceClaimName),
    status?.extendedResourceClaimStatus?.resourceClaimName,
  ];
  return {
    secrets: setOf(secrets),
    configMaps: setOf(configMaps),
    claims: setOf(claims),
    resourceClaims: setOf(resourceClaims),
    serviceAccount: spec?.serviceAccountName ?? "",
  };
}

function containersOf(spec: PodSpec | undefined): readonly Container[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...(spec?.ephemeralContainers ?? [])];
}

const setOf = (names: Names): ReadonlySet<string> => new Set(names.flatMap((name) => name || []));

function secretsOfVolume(volume: Volume): Names {
  return [
    volume.secret?.secretName,
    ...(volume.projected?.sources ?? []).map((each) => each.secret?.name),
    volume.azureFile?.secretName,
    volume.csi?.nodePublishSecretRef?.name,
    ...[
      volume.cephfs,
      volume.cinder,
      volume.flexVolume,
      volume.rbd,
      volume.scaleIO,
      volume.iscsi,
      volume.storageos,
    ].map((source) => source?.secretRef?.name),
  ];
}

/** Secrets that a kubelet needs to mount this volume; `namespace/name`. */
export function volumeSecrets({ spec }: DeepReadonly<PersistentVolume>): ReadonlySet<string> {
  const claimNamespace = spec?.claimRef?.namespace ?? "";
  const references: { namespace?: string; name?: string }[] = [];
  const add = (reference: { readonly namespace?: string; readonly name?: string } | undefined) => {
    if (reference?.name) references.push(reference);
  };
  add(spec?.azureFile && { namespace: spec.azureFile.secretNamespace ?? "", name: spec.azureFile.secretName });
  for (const source of [spec?.cephfs, spec?.cinder, spec?.flexVolume, spec?.rbd, spec?.scaleIO, spec?.iscsi])
    add(source?.secretRef);
  add(spec?.storageos?.secretRef);
  add(spec?.csi?.nodePublishSecretRef);
  add(spec?.csi?.nodeStageSecretRef);
  add(spec?.csi?.nodeExpandSecretRef);
  return new Set(references.map(({ namespace, name }) => `${namespace || claimNamespace}/${name}`));
}
