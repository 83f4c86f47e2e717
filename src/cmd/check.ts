/** `sampan check`: the preflight, printed. Exit code 1 when something fatal was found. */
import type { FlagSpecs } from "#base";
import { assess, printFindings } from "#cli";
import { defineCommand } from "./command.ts";
import { gatherMachineFacts } from "./machine.ts";
import { placeFlags } from "./settings.ts";

const flags = {
  config: placeFlags.config,
  "data-dir": placeFlags["data-dir"],
  "secure-port": placeFlags["secure-port"],
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Say what this machine lacks, and the command that mends it",
  flags,
  async run({ flags: values, out }) {
    const facts = await gatherMachineFacts({
      dataDirectory: values["data-dir"],
      port: values["secure-port"],
      rules: true,
    });
    const findings = assess(facts);
    out(printFindings(findings));
    return findings.some(({ verdict }) => verdict === "fatal") ? 1 : 0;
  },
});
