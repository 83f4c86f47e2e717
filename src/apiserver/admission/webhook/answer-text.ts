/** The text of a webhook's answer as an object, or the complaint of upstream's decoder, which takes other text for YAML. */

/** The message is upstream's. */
export class AnswerTextError extends Error {}

const target =
  'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

export function readAnswer(text: string): Record<string, unknown> {
  const value = parsed(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  if (value === null) return {};
  const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  const why = `json: cannot unmarshal ${kind} into Go value of type ${target}`;
  throw new AnswerTextError(`couldn't get version/kind; json parse error: ${why}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
