/** What a container's variables come from: ConfigMaps, Secrets and files of the pod's volumes, read before the variables are made. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EnvSources, FileKey } from "../core/env.ts";
import { readEnvFile } from "../core/env-file.ts";
import { type ContainerSpec, type PodView, printPod } from "../core/types.ts";
import type { MountedVolume } from "../volumes/manager.ts";
import { openBelow } from "../volumes/sub-path.ts";
import type { PodContext } from "./context.ts";

export async function readEnvSources(
  context: Pick<PodContext, "objects" | "log">,
  { pod, container, volumes }: { pod: PodView; container: ContainerSpec; volumes: ReadonlyMap<string, MountedVolume> },
): Promise<EnvSources> {
  const namespace = pod.metadata.namespace ?? "";
  const configMaps = new Map<string, Readonly<Record<string, string>> | undefined>();
  const secrets = new Map<string, Readonly<Record<string, string>> | undefined>();
  const files = new Map<FileKey, { value: string; path: string } | Error>();
  const names = { configMaps: new Set<string>(), secrets: new Set<string>() };
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef?.name) names.configMaps.add(configMapRef.name);
    if (secretRef?.name) names.secrets.add(secretRef.name);
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.configMapKeyRef?.name) names.configMaps.add(valueFrom.configMapKeyRef.name);
    if (valueFrom?.secretKeyRef?.name) names.secrets.add(valueFrom.secretKeyRef.name);
    const key = valueFrom?.fileKeyRef;
    if (key)
      files.set(
        key,
        await readKey(key, volumes.get(key.volumeName)?.path).catch((error: Error) => {
          context.log.error("a file of variables can't be read", { pod: printPod(pod), error });
          // No details: they would show the machine's files.
          return error instanceof NoVolumeError ? error : new Error("couldn't parse env file");
        }),
      );
  }
  await Promise.all([
    ...[...names.configMaps].map(async (name) => {
      const object = await context.objects.configMap({ namespace, name });
      configMaps.set(name, object && (object.data ?? {}));
    }),
    ...[...names.secrets].map(async (name) => {
      const secret = await context.objects.secret({ namespace, name });
      secrets.set(name, secret && decode(secret.data ?? {}));
    }),
  ]);
  return {
    configMap: (name) => configMaps.get(name),
    secret: (name) => secrets.get(name),
    file(key) {
      const found = files.get(key);
      if (!found || found instanceof Error) throw found ?? new Error("couldn't parse env file");
      return found;
    },
  };
}

class NoVolumeError extends Error {
  override name = "NoVolumeError";
}

async function readKey({ volumeName, path, key }: FileKey, volume: string | undefined) {
  if (!volume) throw new NoVolumeError(`cannot find the volume ${JSON.stringify(volumeName)} referenced by FileKeyRef`);
  const handle = await openBelow(volume, path);
  try {
    const text = await readFile(`/proc/self/fd/${handle.fd}`, "utf8");
    return { value: readEnvFile(text, key), path: join(volume, path) };
  } finally {
    await handle.close();
  }
}

const decode = (data: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64").toString()]));
