/** Audit events as lines of a file or of the standard output. */
import type { AuditSink, OnLost } from "./backend.ts";
import { encodeEvent, printLegacy } from "./event.ts";
import type { LogWriter } from "./log-file.ts";

export type LogFormat = "json" | "legacy";

export function logSink(writer: LogWriter, format: LogFormat, onLost: OnLost): AuditSink {
  const print = format === "json" ? encodeEvent : printLegacy;
  return {
    take(events) {
      let good = true;
      for (const event of events) {
        try {
          writer.write(`${print(event)}\n`);
        } catch (error) {
          onLost("log", (error as Error).message, [event]); // of the file system
          good = false;
        }
      }
      return good;
    },
    close: () => writer.close(),
  };
}
