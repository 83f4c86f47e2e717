/** The pod that empties a volume for its next claim, as upstream's recyclers make it. Pure. */
import type { Pod } from "#api";
import { quantityValue } from "#machinery";
import { nameOf, type Seen } from "../lib/objects.ts";
import { capacityOf, type Volume } from "../lib/volumes.ts";

export const recyclerNamespace = "default";
const prefix = "recycler-for-";

export const recyclerName = (volume: string): string => prefix + volume;
/** Name of the volume that a pod empties. */
export const recycledBy = ({ metadata: { namespace, name = "" } }: Seen<Pod>): string | undefined =>
  namespace === recyclerNamespace && name.startsWith(prefix) ? name.slice(prefix.length) : undefined;

const secondsPerGibi = 30;
const secondsMin = { hostPath: 60, nfs: 300 };
const image = "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6";
const script = `test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1`;

/** Undefined: volumes of this kind can't be emptied. */
export function recyclerPod(volume: Volume): Pod | undefined {
  const { hostPath, nfs } = volume.spec ?? {};
  const source = hostPath
    ? { hostPath: { path: hostPath.path } }
    : nfs && { nfs: { server: nfs.server, path: nfs.path } };
  if (!source) return undefined;
  const gibi = Math.floor(quantityValue(capacityOf(volume)) / 2 ** 30);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: recyclerName(nameOf(volume)), namespace: recyclerNamespace },
    spec: {
      activeDeadlineSeconds: Math.max(gibi * secondsPerGibi, hostPath ? secondsMin.hostPath : secondsMin.nfs),
      restartPolicy: "Never",
      volumes: [{ name: "vol", ...source }],
      containers: [
        {
          name: "pv-recycler",
          image,
          command: ["/bin/sh"],
          args: ["-c", script],
          volumeMounts: [{ name: "vol", mountPath: "/scrub" }],
        },
      ],
    },
  };
}
