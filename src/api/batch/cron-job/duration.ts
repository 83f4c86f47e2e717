/** Go's durations, `1h30m`, `.5s`, `-2us`: what Go says is wrong with a text, "" for nothing. */
import { goQuote } from "#machinery";

const units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];

export function durationProblem(text: string): string {
  const invalid = `time: invalid duration ${goQuote(text)}`;
  let rest = text.replace(/^[+-]/, "");
  if (rest === "0") return "";
  if (rest === "") return invalid;
  while (rest !== "") {
    const [, number = "", unit = "", more = ""] = /^([0-9]+\.?[0-9]*|\.[0-9]+)([^.0-9]*)(.*)$/su.exec(rest) ?? [];
    if (number === "") return invalid;
    if (unit === "") return `time: missing unit in duration ${goQuote(text)}`;
    if (!units.includes(unit)) return `time: unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`;
    rest = more;
  }
  return "";
}
