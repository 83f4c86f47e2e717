/**
 * Acting as somebody else by `Impersonate-…` headers. Plain impersonation needs the verb `impersonate` on each thing asked for. Constrained
 * impersonation (on by default since 1.36) is tried first: it needs `impersonate-on:MODE:VERB` on what is asked for and `impersonate:MODE` on
 * whom one acts as, and knows nodes, service accounts and other users as different modes. Upstream's caches of both are left out: whoever
 * loses the right loses it at once.
 */
import type { RequestUser } from "#api";
import {
  FieldPath,
  fieldError,
  goQuote,
  isDomainPrefixedPath,
  isStatusError,
  nameIsDnsSubdomain,
  printFieldErrors,
  statusError,
} from "#machinery";
import type { Attributes, AuthenticationContext, Authorizer, Credentials } from "../security.ts";
import { headerValues, prefixedValues } from "./authn/header-values.ts";
import { forbiddenError } from "./forbidden.ts";
import { accountGroups, everyone, parseAccountUserName } from "./groups.ts";

const authenticationGroup = "authentication.k8s.io";
const nodePrefix = "system:node:";
const nodesGroup = "system:nodes";
const nodeNameKey = "authentication.kubernetes.io/node-name";
/** From so many on, one question with stars is tried before many without. */
const manyChecks = 4;

/** The user that the caller acts as: the caller, if nobody else is asked for. Rejects with a StatusError. */
export type Impersonation = (
  user: RequestUser,
  credentials: Credentials,
  context: AuthenticationContext | undefined,
) => RequestUser | Promise<RequestUser>;

/** Callers whose last mode is remembered; about 100 bytes each, as upstream. */
const callersMax = 10_000;

export function createImpersonation(authorizer: Authorizer): Impersonation {
  /** By which mode a caller acted last: it is tried first, and its refusal is the one that is told. */
  const lastModes = new Map<string, string>();
  return (user, credentials, context) => {
    // The common request has none of these headers: no promise, no object.
    for (const name in credentials.headers)
      if (name.startsWith("impersonate-"))
        return actAs(user, credentials.rawHeaders, { authorizer, context, lastModes });
    return user;
  };
}

interface Acting {
  readonly authorizer: Authorizer;
  readonly context: AuthenticationContext | undefined;
  readonly lastModes: Map<string, string>;
}

async function actAs(
  user: RequestUser,
  rawHeaders: readonly string[],
  { authorizer, context, lastModes }: Acting,
): Promise<RequestUser> {
  await context?.observer?.authenticated(user);
  const wanted = readWanted(rawHeaders);
  if (!wanted) return user;
  const asked = context?.attributes?.(user);
  const last = lastModes.get(user.name);
  const modes = asked ? [...constrainedModes(user, wanted), plainMode] : [plainMode];
  modes.sort((a, b) => Number(b.name === last) - Number(a.name === last));
  let refusal: unknown;
  for (const mode of modes) {
    try {
      const acting = await check(mode, { user, wanted, asked, authorizer });
      lastModes.delete(user.name);
      if (lastModes.size >= callersMax) lastModes.delete(lastModes.keys().next().value ?? "");
      lastModes.set(user.name, mode.name);
      context?.observer?.impersonated(acting, mode.name === "" ? undefined : verbOf(mode));
      return acting;
    } catch (error) {
      if (!isStatusError(error)) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}

interface Wanted {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** Undefined: nobody in particular. */
function readWanted(rawHeaders: readonly string[]): Wanted | undefined {
  const wanted: Wanted = {
    name: headerValues(rawHeaders, "impersonate-user")[0] ?? "",
    uid: headerValues(rawHeaders, "impersonate-uid")[0] ?? "",
    groups: headerValues(rawHeaders, "impersonate-group"),
    extra: prefixedValues(rawHeaders, "impersonate-extra-"),
  };
  if (wanted.name !== "") return wanted;
  if (onlyNamed(wanted)) return undefined;
  throw statusError.badRequest(`requested ${printWanted(wanted)} without impersonating a user name`);
}

const onlyNamed = ({ uid, groups, extra }: Wanted): boolean =>
  uid === "" && groups.length === 0 && Object.keys(extra).length === 0;

interface Mode {
  /** "": plain. */
  readonly name: string;
  /** The question as it is put to the authorizer. */
  ask(attributes: Attributes): Attributes;
}

const asIs = (attributes: Attributes): Attributes => attributes;
const plainMode: Mode = { name: "", ask: asIs };
const verbOf = ({ name }: Mode): string => (name === "" ? "impersonate" : `impersonate:${name}`);

/** Those that fit who asks and who is wanted, in upstream's order. */
function constrainedModes(user: RequestUser, wanted: Wanted): Mode[] {
  const node = nodeNameOf(wanted.name);
  const account = parseAccountUserName(wanted.name);
  const modes: Mode[] = [];
  if (onlyNamed(wanted)) {
    const own = user.extra[nodeNameKey];
    if (node !== undefined && parseAccountUserName(user.name) && own?.length === 1 && own[0] === node)
      modes.push({ name: "associated-node", ask: forAnyNode });
    if (node !== undefined) modes.push({ name: "arbitrary-node", ask: asIs });
    if (account) modes.push({ name: "serviceaccount", ask: asIs });
  }
  if (node === undefined && !account) modes.push({ name: "user-info", ask: asIs });
  return modes;
}

/** An account of the node's pods may act as whichever node it runs on: which one it is doesn't matter to the authorizer. */
function forAnyNode(attributes: Attributes): Attributes {
  const { user } = attributes;
  const keys = Object.keys(user.extra).sort();
  return {
    ...attributes,
    user: { ...user, extra: { "authentication.kubernetes.io/associated-node-keys": keys } },
    ...(attributes.verb === "impersonate:associated-node" ? { name: "*" } : {}),
  };
}

function nodeNameOf(userName: string): string | undefined {
  if (!userName.startsWith(nodePrefix)) return undefined;
  const name = userName.slice(nodePrefix.length);
  return nameIsDnsSubdomain(name, false).length === 0 ? name : undefined;
}

interface Attempt {
  readonly user: RequestUser;
  readonly wanted: Wanted;
  readonly asked: Attributes | undefined;
  readonly authorizer: Authorizer;
}

/** Throws a StatusError (403). */
async function check(mode: Mode, { user, wanted, asked, authorizer }: Attempt): Promise<RequestUser> {
  const constrained = mode.name !== "";
  const may = async (attributes: Attributes): Promise<void> => {
    const question = mode.ask(attributes);
    const { allowed, reason, error } = await authorizer.authorize(question);
    if (allowed) return;
    const why = error === undefined ? reason : reason === "" ? error : `${error}: ${reason}`;
    throw forbiddenError(question, why);
  };
  const about = (resource: string, name: string, more: Partial<Attributes> = {}): Attributes => ({
    user,
    verb: verbOf(mode),
    resourceRequest: true,
    path: "",
    apiGroup: constrained ? authenticationGroup : "",
    apiVersion: "v1",
    resource,
    subresource: "",
    namespace: "",
    name,
    ...more,
  });
  const inGroup = { apiGroup: authenticationGroup };
  if (constrained && asked) await may({ ...asked, verb: `impersonate-on:${mode.name}:${asked.verb}` });

  let groups = [...wanted.groups];
  const node = constrained ? nodeNameOf(wanted.name) : undefined;
  const account = parseAccountUserName(wanted.name);
  if (node !== undefined) {
    groups = [nodesGroup];
    await may(about("nodes", node));
  } else if (account) {
    if (groups.length === 0) groups = accountGroups(account.namespace);
    await may(about("serviceaccounts", account.name, { namespace: account.namespace }));
  } else await may(about("users", wanted.name));
  if (wanted.uid !== "") await may(about("uids", wanted.uid, inGroup));

  if (constrained && wanted.groups.includes(""))
    throw forbiddenError(about("groups", ""), "impersonating the empty string group is not allowed");
  if (constrained && wanted.groups.includes(everyone.masters))
    throw forbiddenError(about("groups", everyone.masters), "impersonating the system:masters group is not allowed");
  const groupQuestions = wanted.groups.map((group) => about("groups", group));
  await every(groupQuestions, constrained ? about("groups", "*") : undefined);

  const problem = constrained ? extraProblem(wanted.extra) : undefined;
  if (problem !== undefined) throw forbiddenError(about("userextras", "", inGroup), problem);
  const extraQuestions = Object.entries(wanted.extra).flatMap(([subresource, values]) =>
    values.map((value) => about("userextras", value, { ...inGroup, subresource })),
  );
  const anyExtra = about("userextras", "*", { ...inGroup, subresource: "*" });
  await every(extraQuestions, constrained ? anyExtra : undefined);
  return { name: wanted.name, uid: wanted.uid, groups: withImplied(wanted.name, groups), extra: wanted.extra };

  async function every(questions: readonly Attributes[], all: Attributes | undefined): Promise<void> {
    if (all && questions.length >= manyChecks) {
      const { allowed } = await authorizer.authorize(mode.ask(all));
      if (allowed) return;
    }
    for (const question of questions) await may(question);
  }
}

function extraProblem(extra: Wanted["extra"]): string | undefined {
  for (const [key, values] of Object.entries(extra)) {
    if (key === "") return "impersonating the empty string key in extra is not allowed";
    const path = FieldPath.root("extra").child("key");
    const invalid = isDomainPrefixedPath(key).map(({ value, message }) => fieldError.invalid(path, value, message));
    if (invalid.length > 0) return `impersonating an invalid key in extra is not allowed: ${printFieldErrors(invalid)}`;
    if (key !== key.toLowerCase()) return `impersonating a non-lowercase key in extra is not allowed: ${goQuote(key)}`;
    if (values.length === 0) return "impersonating empty values in extra is not allowed";
    if (values.includes("")) return "impersonating the empty string value in extra is not allowed";
  }
  return undefined;
}

function withImplied(name: string, groups: string[]): string[] {
  const add = (group: string) => (groups.includes(group) ? groups : [...groups, group]);
  if (name === everyone.anonymous) return add(everyone.unauthenticated);
  return groups.includes(everyone.unauthenticated) ? groups : add(everyone.authenticated);
}

/** As Go prints the struct that upstream makes of the headers (`%#v`). */
function printWanted({ uid, groups, extra }: Wanted): string {
  const list = (values: readonly string[]) => `[]string{${values.map(goQuote).join(", ")}}`;
  const entries = Object.entries(extra).sort(([a], [b]) => (a < b ? -1 : 1));
  const printedGroups = groups.length > 0 ? list(groups) : "[]string(nil)";
  const printedExtra =
    entries.length > 0
      ? `map[string][]string{${entries.map(([key, values]) => `${goQuote(key)}:${list(values)}`).join(", ")}}`
      : "map[string][]string(nil)";
  return `&user.DefaultInfo{Name:"", UID:${goQuote(uid)}, Groups:${printedGroups}, Extra:${printedExtra}}`;
}
