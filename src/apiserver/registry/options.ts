/** The options of a request from its query, checked as upstream checks them: CreateOptions, UpdateOptions, PatchOptions, ListOptions. */
import {
  type FieldError,
  FieldPath,
  type FieldValidation,
  fieldError,
  isPrintable,
  StatusError,
  statusError,
  validatePatchOptions,
  validateWriteOptions,
} from "#machinery";
import type { Query } from "../query.ts";

const managerBytesMax = 128;

export interface WriteOptions {
  readonly dryRun: boolean;
  /** Never empty: the User-Agent's first word when the client says nothing. */
  readonly manager: string;
  readonly fieldValidation: FieldValidation;
}

export type OptionsKind = "CreateOptions" | "UpdateOptions" | "PatchOptions";

export function readWriteOptions(
  query: Query,
  kind: OptionsKind,
  { userAgent, apply = false }: { userAgent: string; apply?: boolean },
): WriteOptions {
  const fieldManager = query.get("fieldManager");
  const dryRun = query.all("dryRun");
  const fieldValidation = query.get("fieldValidation");
  const force = query.optionalBoolean("force");
  const sent = { fieldManager, dryRun, fieldValidation };
  const errors =
    kind === "PatchOptions"
      ? validatePatchOptions({ ...sent, apply, ...(force !== undefined && { force }) })
      : validateWriteOptions(sent);
  if (errors.length > 0) throw invalidOptions(kind, errors);
  return {
    dryRun: dryRun.length > 0,
    manager: fieldManager !== "" ? fieldManager : managerOfUserAgent(userAgent),
    fieldValidation: fieldValidation === "" ? "Warn" : (fieldValidation as FieldValidation), // one of the three, checked above
  };
}

export const invalidOptions = (kind: string, errors: readonly FieldError[]): StatusError =>
  statusError.invalid({ group: "meta.k8s.io", kind }, "", errors);

/** `kubectl/v1.32.4 (linux/amd64)` → `kubectl`; what can't be printed ends it. */
export function managerOfUserAgent(userAgent: string): string {
  const prefix = userAgent.split("/", 1)[0] ?? "";
  let manager = "";
  for (const character of prefix) {
    if (!isPrintable(character) || Buffer.byteLength(manager) + Buffer.byteLength(character) > managerBytesMax) break;
    manager += character;
  }
  return manager === "" ? "unknown" : manager;
}

export type VersionMatch = "" | "Exact" | "NotOlderThan";

export interface ListOptions {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: string;
  readonly resourceVersion: string;
  readonly match: VersionMatch;
  readonly watch: boolean;
  readonly bookmarks: boolean;
  /** 0: the server's choice; negative: over at once. */
  readonly timeoutSeconds: number;
  readonly sendInitialEvents: boolean | undefined;
}

export function readListOptions(query: Query, { watch }: { watch: boolean }): ListOptions {
  const resourceVersion = query.get("resourceVersion");
  const options: ListOptions = {
    labelSelector: query.get("labelSelector"),
    fieldSelector: query.get("fieldSelector"),
    // Whoever takes what the cache has takes all of it.
    limit: resourceVersion === "0" ? 0 : Math.max(0, readInteger(query, "limit")),
    continue: query.get("continue"),
    resourceVersion,
    match: query.get("resourceVersionMatch") as VersionMatch, // checked below
    watch,
    bookmarks: query.boolean("allowWatchBookmarks"),
    timeoutSeconds: readInteger(query, "timeoutSeconds"),
    sendInitialEvents: query.optionalBoolean("sendInitialEvents"),
  };
  return checked(watch ? withWatchDefaults(options) : options);
}

/** Watches that always began with what is there are taken for those that ask for it. */
function withWatchDefaults(options: ListOptions): ListOptions {
  const { sendInitialEvents, match, resourceVersion } = options;
  const fromState = resourceVersion === "" || resourceVersion === "0";
  if (sendInitialEvents !== undefined || match !== "" || !fromState) return options;
  return { ...options, sendInitialEvents: true, match: "NotOlderThan" };
}

function checked(options: ListOptions): ListOptions {
  const { watch } = options;
  const errors = watch ? checkWatchOptions(options) : checkListOptions(options);
  if (errors.length > 0) throw invalidOptions("ListOptions", errors);
  return options;
}

const matchPath = FieldPath.root("resourceVersionMatch");

function checkListOptions({ match, resourceVersion, continue: token, sendInitialEvents }: ListOptions): FieldError[] {
  const errors: FieldError[] = [];
  const forbid = (why: string) => errors.push(fieldError.forbidden(matchPath, why));
  if (match !== "") {
    if (resourceVersion === "") forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (token !== "") forbid("resourceVersionMatch is forbidden when continue is provided");
    if (match !== "Exact" && match !== "NotOlderThan") {
      errors.push(fieldError.notSupported(matchPath, match, ["Exact", "NotOlderThan", ""]));
    }
    if (match === "Exact" && resourceVersion === "0") {
      forbid('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
    }
  }
  if (sendInitialEvents !== undefined) {
    errors.push(fieldError.forbidden(FieldPath.root("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
  }
  return errors;
}

function checkWatchOptions({ match, continue: token, sendInitialEvents }: ListOptions): FieldError[] {
  const errors: FieldError[] = [];
  const forbid = (why: string) => errors.push(fieldError.forbidden(matchPath, why));
  if (sendInitialEvents !== undefined && match !== "NotOlderThan") {
    forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  }
  if (match !== "") {
    if (sendInitialEvents === undefined)
      forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (match !== "NotOlderThan") errors.push(fieldError.notSupported(matchPath, match, ["NotOlderThan"]));
    if (token !== "") forbid("resourceVersionMatch is forbidden when continue is provided");
  }
  return errors;
}

/** As Go's strconv.ParseInt; 0 when missing. */
export function readInteger(query: Query, name: string): number {
  if (!query.has(name)) return 0;
  const text = query.get(name);
  const refuse = (why: string) => statusError.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: ${why}`);
  if (!/^[+-]?\d+$/.test(text)) throw refuse("invalid syntax");
  const value = BigInt(text);
  if (BigInt.asIntN(64, value) !== value) throw refuse("value out of range");
  return Number(value);
}

/** A resourceVersion as a number; undefined when it is none. */
export function parseRevision(text: string): number | undefined {
  return /^\d+$/.test(text) && !isTooLarge(text) ? Number(text) : undefined;
}

const isTooLarge = (text: string): boolean => text.length > 19 && BigInt.asUintN(64, BigInt(text)) !== BigInt(text);

/** What Go's parser says of a resourceVersion that is none. */
export function revisionProblem(text: string): string {
  const why = /^\d+$/.test(text) ? "value out of range" : "invalid syntax";
  return `strconv.ParseUint: parsing ${JSON.stringify(text)}: ${why}`;
}

/** Upstream's plain 500 for a resourceVersion that is no number. */
export function badRevision(text: string, prefix = ""): StatusError {
  const why = revisionProblem(text);
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: prefix === "" ? why : `${prefix}: Invalid value: ${JSON.stringify(text)}: ${why}`,
    code: 500,
  });
}
