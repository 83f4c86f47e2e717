/**
 * Versions that only their author knows how to convert: a ConversionReview is sent to a webhook, and what comes back is distrusted.
 * Of metadata only labels and annotations may differ. Follows apiserver/conversion/webhook_converter.go, in whose words failures are
 * told; unlike it, objects that are read together are sent together.
 */
import { randomUUID } from "node:crypto";
import { isJsonObject, type WebhookConversion } from "#api";
import {
  cloneJson,
  type DeepReadonly,
  FieldPath,
  goQuote,
  type KubernetesObject,
  type Status,
  validateAnnotations,
  validateLabels,
} from "#machinery";
import type { Lookup } from "../admission/chain.ts";
import { AnswerTextError, readAnswer } from "../admission/webhook/answer-text.ts";
import { CallError, type WebhookClient } from "../admission/webhook/client.ts";
import { plainError } from "../registry/errors.ts";
import type { Converter } from "./converter.ts";
import { goTypeOf } from "./simple-path.ts";

export interface ConversionWebhooks {
  readonly client: WebhookClient;
  readonly lookup: Lookup;
}

const timeoutSeconds = 30;
/** In one review: keeps small what a webhook has to hold and to answer. */
const reviewObjectsMax = 100;
const reviewBytesMax = 1024 * 1024;

const group = "apiextensions.k8s.io";
const reviewVersions = ["v1", "v1beta1"];

/** What is wrong with an answer, behind `conversion webhook for …, Kind=… `. */
class AnswerError extends Error {}

export function webhookConverter(
  { clientConfig: client, conversionReviewVersions }: DeepReadonly<WebhookConversion>,
  webhooks: ConversionWebhooks,
): Converter {
  const version = conversionReviewVersions.find((each) => reviewVersions.includes(each));

  async function ask(originals: readonly KubernetesObject[], desired: string): Promise<KubernetesObject[]> {
    if (!client || !version) throw plainError("no supported conversion review versions");
    const converted: KubernetesObject[] = [];
    for (const review of reviewsOf(originals)) {
      const uid = randomUUID();
      const request = { uid, desiredAPIVersion: desired, objects: review };
      const response = { uid: "", convertedObjects: null, result: { metadata: {} } };
      const body = JSON.stringify({ kind: "ConversionReview", apiVersion: `${group}/${version}`, request, response });
      let failing = review[0]!; // no review is empty
      try {
        const text = await webhooks.client.post({ client, body: Buffer.from(body), timeoutSeconds }, webhooks.lookup);
        const answers = convertedObjects(text, { uid, version });
        if (answers.length !== review.length)
          throw new AnswerError(`returned ${answers.length} objects, expected ${review.length}`);
        for (const [i, answer] of answers.entries()) {
          failing = review[i]!; // as many
          converted.push(checked(failing, answer, desired));
        }
      } catch (error) {
        const what = `conversion webhook for ${printKind(failing)}`;
        if (error instanceof CallError) throw plainError(`${what} failed: ${error.message}`);
        if (error instanceof AnswerError) throw plainError(`${what} ${error.message}`);
        throw error;
      }
    }
    return converted;
  }

  return (objects, desired) => {
    const others = objects.filter(({ apiVersion }) => apiVersion !== desired);
    if (others.length === 0) return objects;
    return ask(others, desired).then((converted) => {
      let next = 0;
      return objects.map((object) => (object.apiVersion === desired ? object : converted[next++]!)); // one for each other
    });
  };
}

function* reviewsOf(objects: readonly KubernetesObject[]): Iterable<readonly KubernetesObject[]> {
  let review: KubernetesObject[] = [];
  let bytes = 0;
  for (const object of objects) {
    const size = JSON.stringify(object).length;
    if (review.length > 0 && (review.length >= reviewObjectsMax || bytes + size > reviewBytesMax)) {
      yield review;
      review = [];
      bytes = 0;
    }
    review.push(object);
    bytes += size;
  }
  if (review.length > 0) yield review;
}

const printKind = ({ apiVersion = "", kind = "" }: { apiVersion?: string; kind?: string }): string =>
  `${apiVersion === "" ? "/" : apiVersion}, Kind=${kind}`;

interface Answer {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly response?: {
    readonly uid?: string;
    readonly convertedObjects?: readonly unknown[] | null;
    readonly result?: Partial<Status>;
  } | null;
}

function convertedObjects(text: string, { uid, version }: { uid: string; version: string }): readonly unknown[] {
  const fail = (why: string) => new AnswerError(`failed: ${why}`);
  const answer: Answer = read(text, fail);
  const { response } = answer;
  // Upstream never looked at who answered in the old version.
  if (version === "v1") {
    const wanted = { kind: "ConversionReview", apiVersion: `${group}/v1` };
    if (answer.kind !== wanted.kind || answer.apiVersion !== wanted.apiVersion)
      throw fail(`expected webhook response of ${printKind(wanted)}, got ${printKind(answer)}`);
  }
  if (!response) throw fail("no response provided");
  if (version === "v1" && response.uid !== uid)
    throw fail(`expected response.uid=${goQuote(uid)}, got ${goQuote(String(response.uid ?? ""))}`);
  const { status = "", message } = response.result ?? {};
  if (status !== "Success") throw fail(message || `response.result.status was '${status}', not 'Success'`);
  const { convertedObjects: converted } = response;
  if (converted && !Array.isArray(converted)) throw fail("response.convertedObjects is not a list");
  return converted ?? [];
}

function read(text: string, fail: (why: string) => Error): Answer {
  try {
    return readAnswer(text);
  } catch (error) {
    throw error instanceof AnswerTextError ? fail(error.message) : error;
  }
}

/** What came back, with the metadata of what was sent. */
function checked(original: KubernetesObject, answer: unknown, desired: string): KubernetesObject {
  if (!isJsonObject(answer)) throw plainError(noObject(answer));
  const converted = answer as KubernetesObject; // checked below
  const { apiVersion = "", kind = "" } = converted;
  const at = "returned invalid object at index 0";
  if (apiVersion !== desired)
    throw new AnswerError(`${at}: invalid groupVersion (expected ${desired}, received ${apiVersion})`);
  if (kind !== original.kind)
    throw new AnswerError(`${at}: invalid kind (expected ${original.kind}, received ${kind})`);
  const { metadata } = converted as { metadata?: unknown };
  const sent = original.metadata ?? {};
  const found = (isJsonObject(metadata) ? metadata : {}) as { name?: unknown; namespace?: unknown; uid?: unknown };
  for (const [field, word] of identity) {
    const [before, after] = [sent[field] ?? "", found[field] ?? ""];
    if (before !== after)
      throw new AnswerError(`returned invalid object: must have the same ${word}: ${before} != ${String(after)}`);
  }
  return { ...converted, metadata: restored(sent, metadata) };
}

/** In the decoder's words, which upstream passes on as they are. */
function noObject(answer: unknown): string {
  if (answer === null) return "unexpected end of JSON input";
  const kind = Array.isArray(answer) ? "array" : typeof answer === "boolean" ? "bool" : typeof answer;
  return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`;
}

const identity = [
  ["name", "name"],
  ["namespace", "namespace"],
  ["uid", "UID"],
] as const;

function restored(original: NonNullable<KubernetesObject["metadata"]>, answered: unknown) {
  const fail = (why: string) => new AnswerError(`returned invalid metadata: ${why}`);
  if (answered === undefined) throw fail("missing metadata in converted object");
  if (!isJsonObject(answered)) throw fail(`invalid metadata of type ${goTypeOf(answered)} in converted object`);
  const metadata = cloneJson(original);
  for (const field of ["labels", "annotations"] as const) {
    const values = answered[field] ?? undefined;
    if (values === undefined) {
      delete metadata[field];
      continue;
    }
    if (!isJsonObject(values)) throw fail(`invalid metadata.${field} of type ${goTypeOf(values)} in converted object`);
    for (const [key, value] of Object.entries(values))
      if (typeof value !== "string")
        throw fail(`metadata.${field}[${key}] must be a string, but is ${goTypeOf(value)} in converted object`);
    const texts = values as Record<string, string>; // checked above
    const before = metadata[field] ?? {};
    const names = Object.keys(texts);
    if (names.length !== Object.keys(before).length || names.some((name) => before[name] !== texts[name])) {
      const path = FieldPath.root("metadata");
      const errors =
        field === "labels"
          ? validateLabels(texts, path.child("labels"))
          : validateAnnotations(texts, path.child("annotation"));
      const printed = errors.map((error) => `${error.field}: ${error.message}`);
      if (printed.length > 0) throw fail(printed.length === 1 ? printed.join() : `[${printed.join(", ")}]`);
    }
    metadata[field] = texts;
  }
  return metadata;
}
