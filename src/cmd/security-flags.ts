/**
 * Who is believed and who may do what: the flags of authentication and authorization under upstream's names, read and checked at the start.
 * Files that upstream follows are followed: both configuration files and both bundles of authorities.
 */
import {
  type AccountSettings,
  type ConfiguredAuthorizer,
  parseTokenFile,
  type RequestHeaderSettings,
  readAuthorities,
  type SecurityConfiguration,
} from "#apiserver";
import type { FlagSpecs, FlagValues } from "#base";
import { accountFlags, readAccounts } from "./account-flags.ts";
import { authorizationFlags, readAuthorization } from "./authorization-flags.ts";
import { CommandError } from "./command.ts";
import { followConfigFile, readConfigFile } from "./config-file.ts";
import { list, text, time } from "./flag-spec.ts";
import type { FollowedSecurity } from "./followed-security.ts";
import { oidcFlags, readAuthentication } from "./oidc-flags.ts";
import { reviewTarget } from "./review-target.ts";

export const securityFlags = {
  "token-auth-file": text("FILE", 'Static tokens: CSV lines token,user,uid,"group1,group2".'),
  "anonymous-auth": { type: "bool", either: true, help: "Let requests without credentials in as system:anonymous." },
  "enable-bootstrap-token-auth": {
    type: "bool",
    default: true as boolean,
    help: "Let machines join by tokens in Secrets.",
  },
  "client-ca-file": text("FILE", "Authorities of client certificates (default: the cluster's own)."),
  "authentication-token-webhook-config-file": text("FILE", "A webhook that knows tokens, as a kubeconfig."),
  "authentication-token-webhook-version": {
    type: "string",
    default: "v1beta1",
    choices: ["v1", "v1beta1"],
    value: "VERSION",
    help: "Version of its TokenReview.",
  },
  "authentication-token-webhook-cache-ttl": { ...time("How long its answers are kept."), default: 120_000 },
  "requestheader-client-ca-file": text(
    "FILE",
    "Authorities of proxies that name users in headers (default: the front proxy's own).",
  ),
  "requestheader-allowed-names": list("NAMES", "Common names of such proxies; none: any."),
  "requestheader-username-headers": list("HEADERS", "Headers that hold the user's name."),
  "requestheader-uid-headers": list("HEADERS", "Headers that hold the user's UID."),
  "requestheader-group-headers": list("HEADERS", "Headers that hold groups."),
  "requestheader-extra-headers-prefix": list("PREFIXES", "Headers that begin so hold what else is known of the user."),
  ...oidcFlags,
  ...accountFlags,
  ...authorizationFlags,
} as const satisfies FlagSpecs;

type Values = FlagValues<typeof securityFlags>;

export interface SecuritySettings {
  /** As far as it was given. */
  readonly configuration: Partial<Omit<SecurityConfiguration, "accounts">>;
  readonly accounts: Partial<AccountSettings>;
  /** Files that change are read again. */
  follow(followed: FollowedSecurity): void;
}

export async function readSecurityFlags(
  values: Values,
  { clusterDomain, warn }: { clusterDomain: string; warn: (text: string) => void },
): Promise<SecuritySettings> {
  const issuers = values["service-account-issuer"];
  const disallowedIssuers = issuers.length > 0 ? issuers : [defaultIssuer(clusterDomain)];
  const authentication = await readAuthentication(values, disallowedIssuers);
  const authorization = await readAuthorization(values);
  const clients = await readBundle(values, "client-ca-file");
  const requestHeader = await readRequestHeader(values, clients, warn);
  const staticTokens = await readConfigFile("token-auth-file", values["token-auth-file"], parseTokenFile);
  return {
    accounts: await readAccounts(values, warn),
    configuration: {
      ...(staticTokens && { staticTokens }),
      bootstrapTokens: values["enable-bootstrap-token-auth"],
      ...anonymousSetting(values, authentication.anonymous, authorization.authorizers, warn),
      ...(clients !== undefined && { clientAuthorities: clients }),
      ...(requestHeader && { requestHeader }),
      jwt: authentication.jwt,
      ...(await readTokenWebhook(values)),
      ...(authorization.authorizers && { authorizers: authorization.authorizers }),
      ...(authorization.abac && { abac: authorization.abac }),
    },
    follow(followed) {
      authentication.follow?.(followed);
      authorization.follow?.(followed);
      followBundle("client-ca-file", "clients");
      followBundle("requestheader-client-ca-file", "requestHeader");

      function followBundle(flag: "client-ca-file" | "requestheader-client-ca-file", of: "clients" | "requestHeader") {
        const file = values[flag];
        const known = of === "clients" ? clients : requestHeader?.authorities;
        if (!file || known === undefined) return;
        const apply = (pem: string) => {
          followed.security.setAuthorities({ [of]: pem });
          followed.setClientAuthorities();
        };
        followConfigFile({ ...followed, file, text: known, apply });
      }
    },
  };
}

export const defaultIssuer = (clusterDomain: string): string =>
  `https://kubernetes.default.svc${clusterDomain === "cluster.local" ? "" : `.${clusterDomain}`}`;

type AnonymousSetting = Pick<Partial<SecurityConfiguration>, "anonymous">;

function anonymousSetting(
  values: Values,
  fromFile: SecurityConfiguration["anonymous"],
  authorizers: readonly ConfiguredAuthorizer[] | undefined,
  warn: (text: string) => void,
): AnonymousSetting {
  if (fromFile && values["anonymous-auth"] !== undefined)
    throw new CommandError(
      "anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file",
    );
  if (fromFile) return { anonymous: fromFile };
  const enabled = values["anonymous-auth"] ?? true;
  if (enabled && authorizers?.some(({ type }) => type === "AlwaysAllow")) {
    warn(
      "AnonymousAuth is not allowed with the AlwaysAllow authorizer. Resetting AnonymousAuth to false. You should use a different authorizer",
    );
    return { anonymous: { enabled: false, paths: new Set() } };
  }
  return { anonymous: { enabled, paths: new Set() } };
}

const readBundle = (values: Values, flag: "client-ca-file" | "requestheader-client-ca-file") =>
  readConfigFile(flag, values[flag], (pem) => readAuthorities(pem) && pem);

const headerFlags = [
  "requestheader-username-headers",
  "requestheader-uid-headers",
  "requestheader-group-headers",
  "requestheader-extra-headers-prefix",
  "requestheader-allowed-names",
] as const;

async function readRequestHeader(
  values: Values,
  clients: string | undefined,
  warn: (text: string) => void,
): Promise<RequestHeaderSettings | undefined> {
  for (const flag of headerFlags)
    if (values[flag].some((value) => value.trim() === "")) throw new CommandError(`empty value in "${flag}"`);
  const [usernameHeaders, uidHeaders, groupHeaders, extraHeaderPrefixes, allowedNames] = headerFlags.map(
    (flag) => values[flag],
  ) as [string[], string[], string[], string[], string[]]; // one for each flag
  for (const [flag, given, standard] of [
    ["requestheader-username-headers", usernameHeaders, "X-Remote-User"],
    ["requestheader-uid-headers", uidHeaders, "X-Remote-Uid"],
    ["requestheader-group-headers", groupHeaders, "X-Remote-Group"],
    ["requestheader-extra-headers-prefix", extraHeaderPrefixes, "X-Remote-Extra-"],
  ] as const) {
    if (given.length === 0 || given.some((each) => each.toLowerCase() === standard.toLowerCase())) continue;
    const what = `--${flag} is set without specifying the standard ${standard} header - API aggregation will not work`;
    if (standard === "X-Remote-Uid") throw new CommandError(what);
    warn(what);
  }
  const authorities = await readBundle(values, "requestheader-client-ca-file");
  if (authorities === undefined) return undefined;
  const shared =
    clients !== undefined &&
    [...readAuthorities(clients).fingerprints].some((each) => readAuthorities(authorities).fingerprints.has(each));
  if (shared && allowedNames.length === 0)
    throw new CommandError(
      "--requestheader-client-ca-file and --client-ca-file contain overlapping certificates; --requestheader-allowed-names must be specified to ensure regular client certificates cannot set authenticating proxy headers for arbitrary users",
    );
  return { authorities, usernameHeaders, uidHeaders, groupHeaders, extraHeaderPrefixes, allowedNames };
}

async function readTokenWebhook(values: Values): Promise<Pick<Partial<SecurityConfiguration>, "tokenWebhook">> {
  const file = values["authentication-token-webhook-config-file"];
  if (!file) return {};
  return {
    tokenWebhook: {
      target: await reviewTarget("authentication-token-webhook-config-file", file),
      version: values["authentication-token-webhook-version"],
      cacheTtlMs: values["authentication-token-webhook-cache-ttl"],
    },
  };
}
