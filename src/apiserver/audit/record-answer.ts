/** The object of an answer for the audit log: what the client sees, as JSON. */
import { setImmediate } from "node:timers/promises";
import type { Status } from "#machinery";
import type { Answer } from "../answer.ts";
import type { Presenter } from "../present/presenter.ts";
import type { RequestAudit } from "./request-audit.ts";

const isStatus = (value: object): value is Status => "kind" in value && value.kind === "Status";

/** `presenter` answers JSON. */
export async function recordAnswer(audit: RequestAudit, answer: Answer, presenter: () => Presenter): Promise<void> {
  if (answer.type === "value" && isStatus(answer.value)) audit.status(answer.value);
  if (!audit.wantsResponseObject) return;
  switch (answer.type) {
    case "object":
      audit.responseObject(presenter().one(answer.object).toString("utf8"));
      break;
    case "value":
      audit.responseObject(JSON.stringify(answer.value));
      break;
    case "list": {
      const { pieces } = await presenter().list(answer.objects, answer.metadata);
      const texts: Buffer[] = [];
      for (const piece of pieces) {
        texts.push(piece);
        await setImmediate();
      }
      audit.responseObject(Buffer.concat(texts).toString("utf8"));
    }
  }
}
