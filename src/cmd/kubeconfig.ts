/** `sampan kubeconfig`: prints the admin kubeconfig that `up` wrote. */
import { readFile } from "node:fs/promises";
import type { FlagSpecs } from "#base";
import { CommandError, defineCommand } from "./command.ts";
import { dataLayout, placeFlags } from "./settings.ts";

const flags = { config: placeFlags.config, "data-dir": placeFlags["data-dir"] } as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Print the admin kubeconfig",
  flags,
  async run({ flags: values, out }) {
    const file = dataLayout(values["data-dir"]).kubeconfig;
    try {
      out(await readFile(file, "utf8"));
    } catch (error) {
      throw new CommandError(
        `cannot read ${file}: ${(error as Error).message}; has \`sampan up\` run with this --data-dir?`,
      );
    }
    return 0;
  },
});
