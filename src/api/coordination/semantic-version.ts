/** Versions by semver.org, as strictly as Go's github.com/blang/semver reads them. */
export interface SemanticVersion {
  readonly numbers: readonly number[];
  /** Dot-separated; empty: a release. */
  readonly prerelease: readonly string[];
}

const number = "(0|[1-9][0-9]*)";
const identifier = "[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*";
const format = new RegExp(`^${number}\\.${number}\\.${number}(?:-(${identifier}))?(?:\\+${identifier})?$`);

export function readVersion(text: string): SemanticVersion | undefined {
  const [, major, minor, patch, prerelease] = format.exec(text) ?? [];
  if (major === undefined) return undefined;
  const parts = prerelease?.split(".") ?? [];
  if (parts.some((part) => /^0[0-9]+$/.test(part))) return undefined;
  return { numbers: [Number(major), Number(minor), Number(patch)], prerelease: parts };
}

/** Negative when `a` is older; what is built from it doesn't count. */
export function compareVersions(a: SemanticVersion, b: SemanticVersion): number {
  for (let i = 0; i < 3; i++) {
    const difference = (a.numbers[i] ?? 0) - (b.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  // A release is newer than what led to it.
  if (a.prerelease.length === 0 || b.prerelease.length === 0) return b.prerelease.length - a.prerelease.length;
  for (const [i, part] of a.prerelease.entries()) {
    const other = b.prerelease[i];
    if (other === undefined) return 1;
    const difference = compareParts(part, other);
    if (difference !== 0) return difference;
  }
  return a.prerelease.length - b.prerelease.length;
}

/** Numbers by amount and before words. */
function compareParts(a: string, b: string): number {
  const isNumber = (part: string) => /^[0-9]+$/.test(part);
  if (isNumber(a) && isNumber(b)) return Number(a) - Number(b);
  if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

export const isZero = ({ numbers, prerelease }: SemanticVersion): boolean =>
  prerelease.length === 0 && numbers.every((each) => each === 0);
