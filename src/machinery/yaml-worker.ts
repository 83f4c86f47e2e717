/** The thread of `yaml-thread.ts`: one text in, one answer out. */
import { parentPort, workerData } from "node:worker_threads";
import { Decimal } from "./decimal.ts";
import { parseYaml, YamlError } from "./yaml.ts";
import { printYaml } from "./yaml-print.ts";
import type { TextAnswer, TextTask } from "./yaml-thread.ts";

function run({ task, bytes }: TextTask): TextAnswer {
  if (task === "yaml") return { text: Buffer.from(printYaml(bytes)) };
  if (task === "indented")
    return { text: Buffer.from(JSON.stringify(JSON.parse(Buffer.from(bytes).toString()), null, 2)) };
  try {
    const { value, duplicates } = parseYaml(bytes);
    return { json: JSON.stringify(value, numbersAsWritten), duplicates };
  } catch (error) {
    if (error instanceof YamlError) return { complaint: error.message };
    throw error;
  }
}

/** Not in TypeScript's library yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): object };

const numbersAsWritten = (_key: string, value: unknown): unknown =>
  value instanceof Decimal ? rawJSON(value.text) : value;

parentPort?.postMessage(run(workerData));
