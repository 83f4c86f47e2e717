/**
 * CDI devices for runtimes that don't know them (containerd before 1.7): what the files in the usual folders say about a device is put into
 * the request for the container instead. Hooks and what else needs the runtime are refused, not overlooked.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerConfig, Mount } from "../cri/types.d.ts";

/** In the order in which the later ones win. */
export const cdiFolders = ["/etc/cdi", "/var/run/cdi"] as const;

interface Edits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly {
    readonly path: string;
    readonly hostPath?: string;
    readonly permissions?: string;
  }[];
  readonly mounts?: readonly {
    readonly hostPath: string;
    readonly containerPath: string;
    readonly options?: readonly string[];
  }[];
  readonly hooks?: readonly unknown[];
  readonly [other: string]: unknown;
}

interface Specification {
  readonly kind: string;
  readonly devices?: readonly { readonly name: string; readonly containerEdits?: Edits }[];
  readonly containerEdits?: Edits;
}

/** `containerd` has CDI from 1.7 on, but off unless configured before 2.0; of other runtimes it is assumed. */
export function knowsCdi({ name, version }: { readonly name: string; readonly version: string }): boolean {
  return name !== "containerd" || Number.parseInt(version.replace(/^v/, ""), 10) >= 2;
}

async function readSpecifications(folders: readonly string[]): Promise<Specification[]> {
  const found: Specification[] = [];
  for (const folder of folders) {
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    for (const name of names.sort()) {
      if (!/\.(json|yaml)$/.test(name)) continue;
      const text = await readFile(join(folder, name), "utf8");
      // JSON is YAML, too; most files are JSON.
      const value: unknown = name.endsWith(".json") ? JSON.parse(text) : (await import("yaml")).parse(text);
      found.push(value as Specification); // the format is checked where it is used
    }
  }
  return found;
}

const applied = ["env", "deviceNodes", "mounts"];

/** Rejects in the words of runtimes when a device isn't there. */
export async function applyCdi(
  config: ContainerConfig,
  devices: readonly string[],
  folders: readonly string[],
): Promise<ContainerConfig> {
  if (devices.length === 0) return config;
  const specifications = await readSpecifications(folders);
  const common = new Set<Specification>();
  const edits: Edits[] = [];
  const missing: string[] = [];
  for (const device of devices) {
    const [kind = "", name = ""] = device.split("=");
    const of = specifications.findLast((each) => each.kind === kind && each.devices?.some((one) => one.name === name));
    if (!of) {
      missing.push(device);
      continue;
    }
    if (!common.has(of) && of.containerEdits) edits.push(of.containerEdits);
    common.add(of);
    edits.push(of.devices?.find((one) => one.name === name)?.containerEdits ?? {});
  }
  if (missing.length > 0)
    throw new Error(`CDI device injection failed: unresolvable CDI devices ${missing.join(", ")}`);
  for (const each of edits)
    for (const [part, value] of Object.entries(each))
      if (!applied.includes(part) && Array.isArray(value) && value.length > 0)
        throw new Error(`CDI device injection failed: ${part} need a container runtime that knows CDI`);
  const all = <K extends "env" | "deviceNodes" | "mounts">(part: K) => edits.flatMap((each) => [...(each[part] ?? [])]);
  const variables = all("env").map((text) => {
    const cut = text.indexOf("=");
    return { key: text.slice(0, cut), value: Buffer.from(text.slice(cut + 1)) };
  });
  const overridden = new Set(variables.map(({ key }) => key));
  return {
    ...config,
    envs: [...(config.envs ?? []).filter(({ key }) => !overridden.has(key ?? "")), ...variables],
    devices: [
      ...(config.devices ?? []),
      ...all("deviceNodes").map(({ path, hostPath = path, permissions = "rwm" }) => ({
        containerPath: path,
        hostPath,
        permissions,
      })),
    ],
    mounts: [
      ...(config.mounts ?? []),
      ...all("mounts").map(
        ({ hostPath, containerPath, options = [] }): Mount => ({
          hostPath,
          containerPath,
          readonly: options.includes("ro"),
        }),
      ),
    ],
  };
}
