/** The commit thread's program: see `workerCommitter`. */
import { parentPort, workerData } from "node:worker_threads";
import { CommitEngine } from "./commit-engine.ts";
import { type CommitReply, type CommitRequest, unpackRows } from "./commit-message.ts";
import { sqliteFailure } from "./errors.ts";

const port = parentPort!; // This file only runs in a worker thread.
const engine = CommitEngine.open((workerData as { path: string }).path); // Set by workerCommitter.
let values: Uint8Array = new Uint8Array(0);

port.on("message", (request: CommitRequest) => {
  if (request.kind === "close") {
    engine.close();
    port.close();
    return;
  }
  post(run(request));
  try {
    engine.checkpointWhenDue();
  } catch (error) {
    post({ kind: "warning", message: `checkpoint: ${sqliteFailure(error).message}` });
  }
});

function run(request: Exclude<CommitRequest, { kind: "close" }>): CommitReply {
  try {
    if (request.kind !== "write") return { kind: "done", failure: undefined, more: engine.run(request) };
    values = request.values ?? values;
    engine.write(unpackRows(request.keys, request.numbers, values), request.leases);
    return { kind: "done", failure: undefined, more: false };
  } catch (error) {
    return { kind: "done", failure: sqliteFailure(error), more: false };
  }
}

function post(reply: CommitReply): void {
  port.postMessage(reply);
}
