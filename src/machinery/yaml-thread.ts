/**
 * Large YAML is read and printed in threads of their own: the library takes a second for a megabyte, and other requests would wait. A
 * thread lives for one text; one runs at a time for each task, so that many large bodies cost the memory of one. What is read comes back
 * as JSON, which is read fast.
 */
import { Worker } from "node:worker_threads";
import { needsSources, parseWithSources } from "./decimal.ts";
import { type Yaml, YamlError } from "./yaml.ts";

/** A text of 3 MiB takes a tenth of this; protects against what nobody thought of. */
const taskMsMax = 60_000;
/** What 3 MiB become, with much to spare. */
const heapMegabytesMax = 1024;

export interface TextTask {
  readonly task: "read" | "yaml" | "indented";
  readonly bytes: Uint8Array;
}

/** What the thread answers: of reading JSON text (undefined for an empty document), of printing the text; or a complaint. */
export type TextAnswer =
  | { readonly json: string | undefined; readonly duplicates: readonly string[] }
  | { readonly text: Uint8Array }
  | { readonly complaint: string };

/** The tasks that wait for the thread of their kind. */
const last: Record<"read" | "print", Promise<unknown>> = { read: Promise.resolve(), print: Promise.resolve() };

function inTurn(kind: keyof typeof last, task: TextTask): Promise<TextAnswer> {
  const answer = last[kind].then(() => askThread(task));
  last[kind] = answer.catch(() => undefined);
  return answer;
}

/** As `parseYaml`. Throws YamlError. */
export async function parseYamlAside(bytes: Uint8Array): Promise<Yaml> {
  const answer = await inTurn("read", { task: "read", bytes });
  if ("complaint" in answer) throw new YamlError(answer.complaint);
  if ("text" in answer) throw new Error("the thread answered another question");
  const { json, duplicates } = answer;
  if (json === undefined) return { value: undefined, duplicates };
  return { value: needsSources(json, false) ? parseWithSources(json) : JSON.parse(json), duplicates };
}

/** JSON as YAML or indented; UTF-8. */
export async function printAside(json: Uint8Array, form: "yaml" | "indented"): Promise<Uint8Array> {
  const answer = await inTurn("print", { task: form, bytes: json });
  if ("text" in answer) return answer.text;
  throw new Error("complaint" in answer ? answer.complaint : "the thread answered another question");
}

function askThread(task: TextTask): Promise<TextAnswer> {
  // Bundled, the thread's program is a file of its own beside the bundle.
  const program = import.meta.url.endsWith(".ts") ? "./yaml-worker.ts" : "./yaml-worker.js";
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(program, import.meta.url), {
      name: "yaml",
      workerData: task,
      execArgv: [], // Not the main thread's --test or --import.
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
    });
    const timer = setTimeout(() => finish(() => reject(new YamlError("yaml: document takes too long"))), taskMsMax);
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      void worker.terminate();
      settle();
    };
    worker.once("message", (answer: TextAnswer) => finish(() => resolve(answer)));
    worker.once("error", (error: NodeJS.ErrnoException) => {
      const known = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      finish(() => reject(known ? new YamlError("yaml: document contains excessive aliasing") : error));
    });
  });
}
