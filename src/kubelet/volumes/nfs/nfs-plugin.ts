/** NFS volumes, through the machine's own `mount`: one mount for each pod. */
import { spawn } from "node:child_process";
import { mkdir, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { mountsUnder, unmount } from "../mount-table.ts";
import type { VolumeHost, VolumePlugin } from "../plugin.ts";

/** A server that is gone holds an ordinary `umount` up for ever. */
const unmountMs = 60_000;

interface Answer {
  /** As Go prints how a process ended. */
  readonly end: string;
  readonly output: string;
}

export type RunProgram = (program: string, args: readonly string[], timeoutMs?: number) => Promise<Answer>;

export function createNfsPlugin(
  { layout, log }: Pick<VolumeHost, "layout" | "log">,
  run: RunProgram = runProgram,
): VolumePlugin {
  return {
    async setUp({ volume, persistent, readOnly, path }) {
      const { server = "", path: exported = "" } = persistent?.spec?.nfs ?? volume.nfs ?? {};
      const made = { path, readOnly, ownsFiles: false };
      if ((await mountsUnder(path)).includes(path)) return made;
      await mkdir(path, { recursive: true, mode: 0o750 });
      // Upstream's order: sorted, each once.
      const asked = new Set([...(persistent?.spec?.mountOptions ?? []), ...(readOnly ? ["ro"] : [])]);
      const options = [...asked].sort().join(",");
      const source = `${server.includes(":") ? `[${server}]` : server}:${exported}`;
      const args = ["-t", "nfs", ...(options ? ["-o", options] : []), source, path];
      const { end, output } = await run("mount", args);
      if (end === "") return made;
      if ((await mountsUnder(path)).includes(path)) await unmount(path);
      else await rmdir(path);
      throw new Error(
        `mount failed: ${end}\nMounting command: mount\nMounting arguments: ${args.join(" ")}\nOutput: ${output}`,
      );
    },

    async tearDown(podUid) {
      const folder = dirname(layout.pod(podUid).volume("nfs", "x"));
      for (const point of await mountsUnder(folder)) {
        const { end, output } = await run("umount", [point], unmountMs);
        if (end === "") continue;
        log.warn("an NFS volume is unmounted by force", { path: point, output });
        const forced = await run("umount", ["-f", point], unmountMs);
        if (forced.end !== "" && (await mountsUnder(folder)).includes(point))
          throw new Error(`unmount failed: ${forced.end}\nUnmounting arguments: ${point}\nOutput: ${forced.output}`);
      }
      for (const name of await readdir(folder).catch(noFolder)) await rmdir(join(folder, name));
    },

    close: async () => undefined,
  };
}

const noFolder = (error: NodeJS.ErrnoException): string[] => {
  if (error.code === "ENOENT") return [];
  throw error;
};

/** Never rejects: a program that isn't there has ended too. */
function runProgram(program: string, args: readonly string[], timeoutMs?: number): Promise<Answer> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs, killSignal: "SIGKILL" as const }),
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += String(data)));
    child.on("error", (error: NodeJS.ErrnoException) => {
      const why =
        error.code === "ENOENT"
          ? `exec: ${JSON.stringify(program)}: executable file not found in $PATH`
          : error.message;
      resolve({ end: why, output });
    });
    child.on("close", (code, signal) => {
      resolve({
        end: signal ? `signal: ${signalNames[signal] ?? signal}` : code === 0 ? "" : `exit status ${code}`,
        output,
      });
    });
  });
}

const signalNames: Readonly<Record<string, string>> = { SIGKILL: "killed", SIGTERM: "terminated" };
