/** Loaded into the player (`node --import`): writes each answer that it gets into the file COMPAT_ANSWERS, one JSON a line, in order. */
import { appendFileSync } from "node:fs";
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import https from "node:https";
import type { RecordedAnswer } from "./compat-answer.ts";

const file = process.env.COMPAT_ANSWERS ?? "";
const request = https.request.bind(https) as (
  options: RequestOptions,
  then: (answer: IncomingMessage) => void,
) => ClientRequest;

function tapped(options: RequestOptions, then: (answer: IncomingMessage) => void): ClientRequest {
  return request(options, (answer) => {
    const chunks: Buffer[] = [];
    answer.on("data", (chunk: Buffer) => chunks.push(chunk));
    // Before the player's own listener, which asks for the next step.
    answer.on("end", () => {
      const { "content-type": type = "", warning } = answer.headers;
      const written: RecordedAnswer = {
        status: answer.statusCode ?? 0,
        type: type.split(";")[0] ?? "",
        warning: [warning ?? []].flat().join(" | ") || undefined,
        body: parse(Buffer.concat(chunks).toString(), options, answer),
      };
      appendFileSync(file, `${JSON.stringify(written)}\n`);
    });
    then(answer);
  });
}

/** As the recordings have it: watches are lists of events. */
function parse(text: string, { path = "" }: RequestOptions, { statusCode, headers }: IncomingMessage): unknown {
  if (/watch=(1|true)/.test(path ?? "") && statusCode === 200)
    return text.trim() === ""
      ? []
      : text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as unknown);
  if (!/json/.test(headers["content-type"] ?? "")) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// The player asks through this object.
Object.assign(https, { request: tapped });
