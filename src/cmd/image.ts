/** `sampan image load|pack|list`: images without a registry. */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { FlagSpecs } from "#base";
import { importImage, listImages, nodeFolders, packImage } from "#kubelet";
import { CommandError, defineCommand } from "./command.ts";
import { readInstance } from "./instance.ts";
import { lastNode } from "./last-node.ts";
import { dataLayout, placeFlags } from "./settings.ts";

const flags = {
  config: placeFlags.config,
  "data-dir": placeFlags["data-dir"],
  file: {
    type: "strings",
    value: "HOST:PATH",
    help: "pack: a file or folder of this machine and where it goes; libraries of a program come along.",
  },
  entrypoint: { type: "string", value: "PROGRAM", help: "pack: what runs, before the arguments." },
  cmd: { type: "string", value: "LINE", help: "pack: default command, split at spaces." },
  env: { type: "strings", value: "NAME=VALUE", help: "pack: environment." },
  user: { type: "string", value: "USER", help: "pack: uid or uid:gid that runs it." },
  workdir: { type: "string", value: "PATH", help: "pack: working directory." },
  output: { type: "string", short: "o", value: "TAR", help: "pack: write the archive here instead of loading it." },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Load, pack and list images",
  usage: "load TAR… | pack NAME --file HOST:PATH… [--cmd LINE] | list",
  flags,
  async run({ flags: values, positionals, out }) {
    const [action, ...names] = positionals;
    const layout = dataLayout(values["data-dir"]);
    if (action === "load") {
      if (names.length === 0) throw new CommandError("load: name at least one archive");
      for (const archive of names) for (const loaded of await load(layout, archive)) out(`loaded ${loaded}\n`);
      return 0;
    }
    if (action === "list") {
      const found = await stores(layout);
      for (const { node, endpoint } of found) {
        if (found.length > 1) out(`${node}:\n`);
        for (const { name, sizeBytes } of await listImages(endpoint))
          out(`${name.padEnd(60)} ${(sizeBytes / 1024 ** 2).toFixed(1)} MiB\n`);
      }
      return 0;
    }
    if (action !== "pack" || names.length !== 1)
      throw new CommandError(`want load, pack NAME or list, have ${JSON.stringify(positionals.join(" "))}`);
    const archive = await packImage({
      name: names[0] ?? "",
      files: values.file.map(parseFile),
      env: Object.fromEntries(values.env.map((pair) => splitOnce(pair, "="))),
      ...(values.entrypoint ? { entrypoint: values.entrypoint.split(" ").filter(Boolean) } : {}),
      ...(values.cmd ? { cmd: values.cmd.split(" ").filter(Boolean) } : {}),
      ...(values.user ? { user: values.user } : {}),
      ...(values.workdir ? { workingDir: values.workdir } : {}),
    });
    if (values.output) {
      await writeFile(values.output, archive);
      out(`written ${values.output}\n`);
      return 0;
    }
    const folder = await mkdtemp(path.join(tmpdir(), "sampan-image-"));
    try {
      const file = path.join(folder, "image.tar");
      await writeFile(file, archive);
      for (const loaded of await load(layout, file)) out(`loaded ${loaded}\n`);
    } finally {
      await rm(folder, { recursive: true });
    }
    return 0;
  },
});

function parseFile(text: string): { host: string; path: string } {
  const [host, target] = splitOnce(text, ":");
  if (!host || !target.startsWith("/"))
    throw new CommandError(`--file ${text}: want HOST:PATH with an absolute path in the image`);
  return { host, path: target };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** Of each node of the folder whose runtime is there. */
async function stores(layout: ReturnType<typeof dataLayout>) {
  const nodes = await lastNode(layout, await readInstance(layout.pidFile));
  if (nodes.length === 0)
    throw new CommandError(
      `no node in ${layout.root}: images are loaded into a running cluster (\`sampan up\`), or put archives into ${layout.images} before`,
    );
  const all = nodes.map((node) => {
    const folders = nodeFolders({ rootDir: layout.node(node.name) });
    const endpoint = node.kubelet?.containerRuntimeEndpoint ?? path.join(folders.containerd, "containerd.sock");
    return { node: node.name, endpoint, pinnedFile: folders.pinned };
  });
  const running = all.filter(({ endpoint }) => existsSync(endpoint.replace(/^unix:\/\//, "")));
  if (running.length === 0)
    throw new CommandError(`no container runtime at ${all[0]?.endpoint}: start the cluster with \`sampan up\` first`);
  return running;
}

async function load(layout: ReturnType<typeof dataLayout>, archive: string): Promise<string[]> {
  const loaded = await Promise.all((await stores(layout)).map((store) => importImage(store, path.resolve(archive))));
  return loaded[0] ?? [];
}
