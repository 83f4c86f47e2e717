/** Which level a namespace asks for by its labels, in each of the three modes. Pure; upstream's pod-security-admission/api. */
import { type FieldError, FieldPath, fieldError } from "#machinery";

export type Level = "privileged" | "baseline" | "restricted";

export interface LevelVersion {
  readonly level: Level;
  /** Minor version of 1.x; infinite for `latest`. */
  readonly minor: number;
}

export interface Policy {
  readonly enforce: LevelVersion;
  readonly audit: LevelVersion;
  readonly warn: LevelVersion;
}

const prefix = "pod-security.kubernetes.io/";
const levels: readonly string[] = ["privileged", "baseline", "restricted"];
const isLevel = (text: string): text is Level => levels.includes(text);
const free: LevelVersion = { level: "privileged", minor: Number.POSITIVE_INFINITY };
const freePolicy: Policy = { enforce: free, audit: free, warn: free };

/** Labels that can't be read: enforced as `restricted`, warned about as `privileged`. */
export function policyOf(labels: Readonly<Record<string, string>> | undefined): {
  policy: Policy;
  errors: FieldError[];
} {
  const errors: FieldError[] = [];
  if (!labels) return { policy: freePolicy, errors };
  const refuse = (label: string, value: string, why: string) =>
    errors.push(fieldError.invalid(FieldPath.root("metadata").child("labels").key(label), value, why));
  const read = (mode: keyof Policy): LevelVersion => {
    let { level, minor } = free;
    const text = labels[prefix + mode];
    if (text !== undefined && isLevel(text)) level = text;
    else if (text !== undefined) {
      refuse(prefix + mode, text, `must be one of ${levels.join(", ")}`);
      level = mode === "enforce" ? "restricted" : "privileged";
    }
    const versionLabel = `${prefix}${mode}-version`;
    const version = labels[versionLabel];
    if (version !== undefined && version !== "latest") {
      const match = /^v1\.([0-9]|[1-9][0-9]*)$/.exec(version);
      if (match) minor = Number(match[1]);
      else refuse(versionLabel, version, 'must be "latest" or "v1.x"');
    }
    return { level, minor };
  };
  const policy = { enforce: read("enforce"), audit: read("audit"), warn: read("warn") };
  // Who says nothing about warnings is warned about what is enforced.
  const { enforce, warn } = policy;
  const named = (mode: string) => labels[prefix + mode] !== undefined;
  if (!named("warn") && isLevel(labels[`${prefix}enforce`] ?? "") && isStricter(enforce.level, warn.level)) {
    policy.warn = named("warn-version") ? { ...warn, level: enforce.level } : enforce;
  }
  return { policy, errors };
}

export const isStricter = (a: Level, b: Level): boolean => levels.indexOf(a) > levels.indexOf(b);

export const isSame = (a: LevelVersion, b: LevelVersion): boolean => a.level === b.level && a.minor === b.minor;

export const printLevel = ({ level, minor }: LevelVersion): string =>
  `${level}:${Number.isFinite(minor) ? `v1.${minor}` : "latest"}`;
