/** Acting as somebody else by `Impersonate-…` headers: each thing asked for needs the verb `impersonate` on it. */
import type { IncomingHttpHeaders } from "node:http";
import type { RequestUser } from "#api";
import { PlainFailure } from "../plain-failure.ts";
import type { Attributes, AuthenticationObserver, Authorizer } from "../security.ts";
import { forbiddenError } from "./forbidden.ts";
import { accountGroups, everyone, parseAccountUserName } from "./groups.ts";

const extraPrefix = "impersonate-extra-";
const authenticationGroup = "authentication.k8s.io";

type Asked = Pick<Attributes, "resource" | "name"> &
  Partial<Pick<Attributes, "namespace" | "apiGroup" | "subresource">>;

export function impersonate(
  user: RequestUser,
  headers: IncomingHttpHeaders,
  authorizer: Authorizer,
  observer?: AuthenticationObserver,
): RequestUser | Promise<RequestUser> {
  // The common request has none of these headers: no promise, no object.
  for (const name in headers)
    if (name.startsWith("impersonate-")) return observed(user, observer, () => actAs(user, headers, authorizer));
  return user;
}

async function observed(
  user: RequestUser,
  observer: AuthenticationObserver | undefined,
  act: () => Promise<RequestUser>,
): Promise<RequestUser> {
  await observer?.authenticated(user);
  const other = await act();
  if (other !== user) observer?.impersonated(other);
  return other;
}

async function actAs(user: RequestUser, headers: IncomingHttpHeaders, authorizer: Authorizer): Promise<RequestUser> {
  const name = first(headers["impersonate-user"]);
  const uid = first(headers["impersonate-uid"]);
  const groups = every(headers["impersonate-group"]);
  const extra: Record<string, string[]> = {};
  for (const [header, value] of Object.entries(headers))
    if (header.startsWith(extraPrefix)) extra[decodeKey(header.slice(extraPrefix.length))] = every(value);
  if (name === "" && (uid !== "" || groups.length > 0 || Object.keys(extra).length > 0))
    throw new PlainFailure(`requested [${printWanted({ uid, groups, extra })}] without impersonating a user`);
  if (name === "") return user;

  const account = parseAccountUserName(name);
  const asked: Asked[] = [
    account
      ? { resource: "serviceaccounts", name: account.name, namespace: account.namespace }
      : { resource: "users", name },
    ...groups.map((group) => ({ resource: "groups", name: group })),
    ...Object.entries(extra).flatMap(([key, values]) =>
      values.map((value) => ({ apiGroup: authenticationGroup, resource: "userextras", subresource: key, name: value })),
    ),
    ...(uid ? [{ apiGroup: authenticationGroup, resource: "uids", name: uid }] : []),
  ];
  for (const each of asked) {
    const attributes: Attributes = {
      user,
      verb: "impersonate",
      resourceRequest: true,
      path: "",
      apiGroup: "",
      apiVersion: "v1",
      subresource: "",
      namespace: "",
      ...each,
    };
    const decision = await authorizer.authorize(attributes);
    if (!decision.allowed) throw forbiddenError(attributes, decision.reason);
  }
  const given = groups.length > 0 ? groups : account ? accountGroups(account.namespace) : [];
  return { name, uid, groups: withImplied(name, given), extra };
}

function withImplied(name: string, groups: string[]): string[] {
  if (name === everyone.anonymous)
    return groups.includes(everyone.unauthenticated) ? groups : [...groups, everyone.unauthenticated];
  if (groups.includes(everyone.authenticated) || groups.includes(everyone.unauthenticated)) return groups;
  return [...groups, everyone.authenticated];
}

const first = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value) ?? "";

/** Node.js joins repeated headers with ", ", HTTP/2 and HTTP/1.1 alike; names with a comma can't be told apart. */
const every = (value: string | string[] | undefined) =>
  [value ?? []]
    .flat()
    .flatMap((text) => text.split(", "))
    .filter((text) => text !== "");

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key; // upstream records malformed keys as they came
  }
}

interface Wanted {
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** As Go prints the references that upstream makes of the headers. */
function printWanted({ uid, groups, extra }: Wanted): string {
  const version = `${authenticationGroup}/v1`;
  return [
    ...groups.map((group) => `{Group  ${group}    }`),
    ...Object.entries(extra).flatMap(([key, values]) =>
      values.map((value) => `{UserExtra  ${value}  ${version}  ${key}}`),
    ),
    ...(uid === "" ? [] : [`{UID  ${uid}  ${version}  }`]),
  ].join(" ");
}
