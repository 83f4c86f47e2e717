/** `sampan convert`: manifests of any version and media type, also those of Kubernetes 1.0, into another one; needs no server. */
import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import type { FlagSpecs } from "#base";
import { ConvertError, type Format, print, readManifests, toVersion } from "#cli";
import { CommandError, defineCommand } from "./command.ts";

const flags = {
  filename: {
    type: "strings",
    short: "f",
    value: "FILE",
    help: "Manifest to convert; - is standard input. May be repeated.",
  },
  output: {
    type: "string",
    short: "o",
    choices: ["yaml", "json", "protobuf"],
    default: "yaml",
    help: "What to write.",
  },
  "output-version": {
    type: "string",
    value: "GROUP/VERSION",
    help: "Version to convert to, as autoscaling/v1 (default: the one that is stored).",
  },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Convert manifests between versions and media types",
  usage: "-f FILE… [-o yaml|json|protobuf] [--output-version GROUP/VERSION]",
  flags,
  async run({ flags: values }) {
    if (values.filename.length === 0) throw new CommandError("name a file with -f FILE, or - for standard input");
    try {
      const found = [];
      for (const file of values.filename) found.push(...(await readManifests(await read(file), file)));
      const converted = found.map((object) => toVersion(object, values["output-version"]));
      const bytes = await print(converted, values.output as Format); // one of the flag's choices
      await new Promise<void>((done, fail) => process.stdout.write(bytes, (error) => (error ? fail(error) : done())));
    } catch (error) {
      if (error instanceof ConvertError) throw new CommandError(error.message);
      throw error;
    }
    return 0;
  },
});

async function read(file: string): Promise<Uint8Array> {
  try {
    return file === "-" ? await buffer(process.stdin) : await readFile(file);
  } catch (error) {
    throw new CommandError(`cannot read ${file}: ${(error as Error).message}`);
  }
}

if (import.meta.main) {
  const { exitWith, runCommand } = await import("./run-command.ts");
  await exitWith(runCommand("convert", command, process.argv.slice(2)));
}
