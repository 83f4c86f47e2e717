/** Semantic versions, with the rules and messages of the Go package that Kubernetes uses (blang/semver). */

import { goQuote } from "#machinery";
import { uint64Max } from "../go-numbers.ts";

export interface Version {
  readonly major: bigint;
  readonly minor: bigint;
  readonly patch: bigint;
  readonly pre: readonly (bigint | string)[];
  readonly build: readonly string[];
}

class VersionError extends Error {}

function number(text: string, what: string): bigint {
  if (!/^\d*$/.test(text)) throw new VersionError(`Invalid character(s) found in ${what} number ${goQuote(text)}`);
  if (/^0./.test(text)) {
    const name = what[0]?.toUpperCase() + what.slice(1);
    throw new VersionError(`${name} number must not contain leading zeroes ${goQuote(text)}`);
  }
  return unsigned(text);
}

function unsigned(text: string): bigint {
  const parsing = `strconv.ParseUint: parsing ${goQuote(text)}: `;
  if (text === "") throw new VersionError(`${parsing}invalid syntax`);
  const value = BigInt(text);
  if (value > uint64Max) throw new VersionError(`${parsing}value out of range`);
  return value;
}

function prerelease(text: string): bigint | string {
  if (text === "") throw new VersionError("Prerelease is empty");
  if (/^\d+$/.test(text)) {
    if (/^0./.test(text))
      throw new VersionError(`Numeric PreRelease version must not contain leading zeroes ${goQuote(text)}`);
    return unsigned(text);
  }
  if (/^[0-9A-Za-z-]+$/.test(text)) return text;
  throw new VersionError(`Invalid character(s) found in prerelease ${goQuote(text)}`);
}

function buildPart(text: string): string {
  if (text === "") throw new VersionError("Build meta data is empty");
  if (/^[0-9A-Za-z-]+$/.test(text)) return text;
  throw new VersionError(`Invalid character(s) found in build meta data ${goQuote(text)}`);
}

/** Three parts at most; the third may contain dots. */
function threeParts(text: string): string[] {
  const [, major, minor, patch] = /^([^.]*)(?:\.([^.]*)(?:\.([\s\S]*))?)?$/.exec(text) ?? [];
  return [major, minor, patch].filter((part) => part !== undefined);
}

/** A text is the complaint. `normalize`: a `v` in front, missing parts and leading zeros are all right. */
export function parseVersion(text: string, normalize = false): Version | string {
  try {
    return read(normalize ? normalized(text) : text);
  } catch (error) {
    if (error instanceof VersionError) return error.message;
    throw error;
  }
}

function normalized(text: string): string {
  const parts = threeParts(text.replace(/^v/, "")).map((part) => {
    if (part.length < 2) return part;
    const stripped = part.replace(/^0+/, "");
    return /^\d/.test(stripped) ? stripped : `0${stripped}`;
  });
  if (parts.length < 3 && /[+-]/.test(parts.at(-1) ?? ""))
    throw new VersionError("short version cannot contain PreRelease/Build meta data");
  while (parts.length < 3) parts.push("0");
  return parts.join(".");
}

function read(text: string): Version {
  if (text === "") throw new VersionError("Version string empty");
  const [majorText = "", minorText = "", rest] = threeParts(text);
  if (rest === undefined) throw new VersionError("No Major.Minor.Patch elements found");
  const major = number(majorText, "major");
  const minor = number(minorText, "minor");
  const [, patchText = "", preText, buildText] = /^([^+-]*)(?:-([^+]*))?(?:\+([\s\S]*))?$/.exec(rest) ?? [];
  return {
    major,
    minor,
    patch: number(patchText, "patch"),
    pre: preText === undefined ? [] : preText.split(".").map(prerelease),
    build: buildText === undefined ? [] : buildText.split(".").map(buildPart),
  };
}

const order = (a: bigint | string, b: bigint | string): number => (a < b ? -1 : a > b ? 1 : 0);

export function compareVersions(a: Version, b: Version): number {
  const numbers = order(a.major, b.major) || order(a.minor, b.minor) || order(a.patch, b.patch);
  if (numbers !== 0) return numbers;
  // A release comes after its prereleases.
  if (a.pre.length === 0 || b.pre.length === 0) return Math.sign(b.pre.length - a.pre.length);
  for (const [i, part] of a.pre.entries()) {
    const other = b.pre[i];
    if (other === undefined) return 1;
    // Numbers come before words.
    const outcome = typeof part === typeof other ? order(part, other) : typeof part === "bigint" ? -1 : 1;
    if (outcome !== 0) return outcome;
  }
  return Math.sign(a.pre.length - b.pre.length);
}

export function versionText({ major, minor, patch, pre, build }: Version): string {
  const suffix = (mark: string, parts: readonly (bigint | string)[]): string =>
    parts.length === 0 ? "" : mark + parts.join(".");
  return `${major}.${minor}.${patch}${suffix("-", pre)}${suffix("+", build)}`;
}
