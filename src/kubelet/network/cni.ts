/**
 * The pod network of one node: a bridge with the node's part of the cluster's addresses, made by the standard CNI plugins. Written as a
 * CNI configuration; the runtime calls the plugins. Names and folders are the node's own, so that several nodes fit on one machine.
 */
import { access, mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";

/** Not the name of any file that is being written: runtimes look at what ends so. */
export const cniFile = "10-sampan.conflist";

export interface PodNetworkOptions {
  /** For CNI configuration. */
  readonly confDir: string;
  /** For leases of addresses and plugin results. */
  readonly dataDir: string;
  /** `10.244.0.0/24`; one of each family at most. */
  readonly podCidrs: readonly string[];
  readonly bridge: string;
  readonly mtu?: number;
}

const pluginPaths = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
/** Where plugins of others (flannel, Calico, …) put configuration and programs. */
export const foreignCni = { conf: "/etc/cni/net.d", bin: "/opt/cni/bin" } as const;
const pluginsNeeded = ["bridge", "host-local", "loopback"];

/** The folder that has the plugins. Rejects with what is missing and where it was looked for. */
export async function findCniPlugins(given?: string): Promise<string> {
  const candidates = given ? [given] : pluginPaths;
  const has = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  for (const directory of candidates) {
    const found = await Promise.all(pluginsNeeded.map((name) => has(join(directory, name))));
    if (found.every(Boolean)) return directory;
  }
  throw new Error(
    `no CNI plugins: ${pluginsNeeded.join(", ")} expected together in one of ${candidates.join(", ")} (Debian: apt install containernetworking-plugins)`,
  );
}

/** Written as a whole, since the runtime watches the folder. Answers the file's path. */
export async function writeCniConfig(options: PodNetworkOptions): Promise<string> {
  const { confDir, dataDir, podCidrs, bridge, mtu } = options;
  await mkdir(confDir, { recursive: true });
  await mkdir(dataDir, { recursive: true });
  const config = {
    cniVersion: "0.4.0",
    name: bridge,
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: true,
        isDefaultGateway: true,
        hairpinMode: true,
        // The service proxy translates what leaves the cluster and serves host ports; the plugins would need iptables for both.
        ipMasq: false,
        ...(mtu ? { mtu } : {}),
        ipam: {
          type: "host-local",
          dataDir,
          ranges: podCidrs.map((subnet) => [{ subnet }]),
        },
      },
    ],
  };
  const path = join(confDir, cniFile);
  const text = `${JSON.stringify(config, null, 2)}\n`;
  if ((await readFile(path, "utf8").catch(() => "")) === text) return path; // as it was; or there is none yet
  const file = await open(`${path}.tmp`, "w", 0o644);
  try {
    await file.writeFile(text);
    // A machine that loses its power now finds the old text or the new one, not none.
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  return path;
}
