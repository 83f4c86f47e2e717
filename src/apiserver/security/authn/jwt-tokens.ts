/** Tokens of other issuers: who they are of follows from their claims, as configured. Upstream's OIDC authenticator. */
import type { Clock, Logger } from "#base";
import type { RequestUser } from "#api";
import { goQuote } from "#machinery";
import { createExpiringCache } from "../expiring-cache.ts";
import { type Expression, userValue } from "../expressions.ts";
import { httpsGet } from "./https-get.ts";
import { type Jwt, parseJwt } from "./jwt.ts";
import type { ClaimMapping, JwtConfiguration, Rule } from "./jwt-shape.ts";
import { createOidcProvider, type OidcProvider } from "./oidc-provider.ts";
import { forServer, type TokenResult, type TokenSource } from "./token-chain.ts";

/** Upstream's cache of all tokens that were found good; checking a signature and its claims is a lot for one request. */
const successMs = 10_000;
const tokensMax = 4096;
/** What a Date can hold. */
const timeMsMax = 8.64e15;
const clockLeewayMs = 60_000;
/** Issuers of distributed claims, which tokens name: a flood of names must not fill memory. */
const claimIssuersMax = 16;

export interface JwtTokens {
  readonly authenticate: TokenSource;
  /** "": every issuer is known. Gives those that aren't so many tries. */
  health(attempts: number): Promise<string>;
  close(): void;
}

/** The token is refused; the message says why. */
class Refusal extends Error {
  override name = "Refusal";
}

type Claims = Readonly<Record<string, unknown>>;

export function createJwtTokens(
  configured: readonly JwtConfiguration[],
  { clock, log, audiences }: { clock: Clock; log: Logger; audiences: readonly string[] },
): JwtTokens {
  const issuers = configured.map((configuration) => createIssuer(configuration, { clock, log }));
  const results = createExpiringCache<TokenResult>({
    now: clock.now,
    lifeMs: (result) => ("user" in result ? successMs : 0),
    entriesMax: tokensMax,
  });
  const find = (token: string): TokenResult | Promise<TokenResult> => {
    const jwt = parseJwt(token);
    const issuer = jwt && issuers.find(({ url }) => isFrom(jwt, url));
    if (!jwt || !issuer) return { why: "" };
    return results.get(token, async () => {
      try {
        return { user: await issuer.userOf(jwt), audiences };
      } catch (error) {
        if (error instanceof Refusal) return { why: error.message };
        throw error;
      }
    });
  };
  return {
    authenticate(token, wanted) {
      const meant = (result: TokenResult) =>
        "user" in result ? forServer(() => result.user, audiences)(token, wanted) : result;
      const found = find(token);
      return found instanceof Promise ? found.then(meant) : meant(found);
    },
    async health(attempts) {
      await Promise.all(issuers.map(({ provider }) => provider.ready(attempts)));
      return issuers
        .filter(({ provider }) => provider.problem !== "")
        .map(
          ({ url, provider }) => `oidc: authenticator for issuer ${goQuote(url)} is not healthy: ${provider.problem}`,
        )
        .join(", ");
    },
    close() {
      for (const issuer of issuers) issuer.close();
    },
  };
}

/** Google's tokens have left the scheme out. */
const isFrom = ({ claims }: Jwt, url: string): boolean =>
  claims.iss === url || (claims.iss === "accounts.google.com" && url === "https://accounts.google.com");

function createIssuer(configuration: JwtConfiguration, { clock, log }: { clock: Clock; log: Logger }) {
  const { issuer: url, discoveryUrl, authorities } = configuration;
  const reach = { authorities: authorities || undefined, clock, log };
  const provider = createOidcProvider({ ...reach, issuer: url, discoveryUrl });
  const others = new Map<string, OidcProvider>();
  const providerOf = (issuer: string): OidcProvider => {
    let found = others.get(issuer);
    if (!found) {
      if (others.size >= claimIssuersMax)
        throw new Refusal("oidc: could not expand distributed claims: too many issuers");
      found = createOidcProvider({ ...reach, issuer });
      others.set(issuer, found);
    }
    return found;
  };
  return {
    url,
    provider,
    async userOf(jwt: Jwt): Promise<RequestUser> {
      if (provider.problem !== "") throw new Refusal("oidc: authenticator not initialized");
      const why = await verifyClaims(jwt, { ...configuration, issuer: url, provider, now: clock.now() });
      if (why) throw new Refusal(`oidc: verify token: ${why}`);
      const claims = await withDistributed(jwt.claims, configuration, providerOf, clock);
      return mapClaims(claims, configuration);
    },
    close() {
      provider.close();
      for (const other of others.values()) other.close();
    },
  };
}

interface Verifying extends Pick<JwtConfiguration, "audiences" | "signingAlgorithms"> {
  readonly issuer: string;
  readonly provider: OidcProvider;
  readonly now: number;
}

/** Why not; "": signed by its issuer, for us, now. */
async function verifyClaims(
  jwt: Jwt,
  { issuer, provider, audiences, signingAlgorithms, now }: Verifying,
): Promise<string> {
  const { alg } = jwt.header;
  if (!signingAlgorithms.includes(alg))
    return `oidc: id token signed with unsupported algorithm, expected ${printList(signingAlgorithms)} got ${goQuote(alg)}`;
  const unsigned = await provider.verify(jwt);
  if (unsigned) return unsigned;
  if (!isFrom(jwt, issuer)) return `oidc: id token issued by a different provider, expected ${goQuote(issuer)}`;
  const { aud, exp, nbf } = jwt.claims;
  const named = typeof aud === "string" ? [aud] : strings(aud);
  if (!audiences.some((audience) => named.includes(audience)))
    return `oidc: expected audience ${audiences.length === 1 ? goQuote(audiences[0] ?? "") : `in ${printList(audiences)}`} got ${printList(named)}`;
  const expiry = typeof exp === "number" ? exp * 1000 : 0;
  if (expiry < now) return `oidc: token is expired (Token Expiry: ${printTime(expiry)})`;
  if (typeof nbf === "number" && now + clockLeewayMs < nbf * 1000)
    return `oidc: current time ${printTime(now)} before the nbf (not before) time: ${printTime(nbf * 1000)}`;
  return "";
}

/** Groups that don't fit into a token: it says where to ask for another one that holds them. */
async function withDistributed(
  claims: Claims,
  configuration: JwtConfiguration,
  providerOf: (issuer: string) => OidcProvider,
  clock: Clock,
): Promise<Claims> {
  const { groups, authorities } = configuration;
  const claim = groups && "claim" in groups ? groups.claim : "";
  if (claim === "" || has(claims, claim) || !has(claims, "_claim_names")) return claims;
  const fail = (why: string) => new Refusal(`oidc: could not expand distributed claims: ${why}`);
  const names = objectOf(claims._claim_names);
  if (!names) throw fail("oidc: error parsing distributed claim names: it is no object");
  const sources = objectOf(claims._claim_sources);
  if (!sources) throw fail("oidc: no claim sources");
  const source = has(names, claim) ? names[claim] : undefined;
  if (typeof source !== "string") return claims;
  const place = has(sources, source) ? objectOf(sources[source]) : undefined;
  if (!place) throw fail(`id token _claim_names contained a source ${source} missing in _claims_sources`);
  const { endpoint, access_token: bearer } = place;
  if (typeof endpoint !== "string" || endpoint === "") return claims;
  const getting = (why: string) => fail(`while getting distributed claim ${goQuote(claim)}: ${why}`);
  const answer = await httpsGet(endpoint, {
    authorities: authorities || undefined,
    bearer: typeof bearer === "string" ? bearer : undefined,
  }).catch((error: unknown) => {
    throw getting((error as Error).message); // of ours or of a socket
  });
  if (answer.status < 200 || answer.status > 226)
    throw getting(`error while getting distributed claim JWT: ${answer.statusText}`);
  const jwt = parseJwt(answer.body.trim());
  const issuer = jwt?.claims.iss;
  if (!jwt || typeof issuer !== "string")
    throw fail(
      `getting untrusted issuer from endpoint ${endpoint} failed for claim ${goQuote(claim)}: malformed token`,
    );
  const provider = providerOf(issuer);
  await provider.ready(1);
  if (provider.problem !== "")
    throw fail(`verifying untrusted issuer ${issuer} failed: verifier not initialized for issuer: ${goQuote(issuer)}`);
  const why = await verifyClaims(jwt, { ...configuration, issuer, provider, now: clock.now() });
  if (why) throw fail(`verify distributed claim token: ${why}`);
  if (!has(jwt.claims, claim))
    throw fail(`jwt returned by distributed claim endpoint ${goQuote(endpoint)} did not contain claim: ${claim}`);
  return { ...claims, [claim]: jwt.claims[claim] };
}

function mapClaims(claims: Claims, configuration: JwtConfiguration): RequestUser {
  const user: RequestUser = {
    name: readUsername(claims, configuration.username),
    uid: readUid(claims, configuration.uid),
    groups: readGroups(claims, configuration.groups),
    extra: readExtra(claims, configuration.extra),
  };
  for (const { claim, value } of configuration.requiredClaims) {
    if (!has(claims, claim)) throw new Refusal(`oidc: required claim ${claim} not present in ID token`);
    const have = textClaim(claims, claim, `oidc: parse claim ${claim}`);
    if (have !== value)
      throw new Refusal(`oidc: required claim ${claim} value does not match. Got = ${have}, want = ${value}`);
  }
  checkRules(configuration.claimRules, claims, "oidc: error evaluating claim validation expression");
  checkRules(configuration.userRules, userValue(user), "oidc: error evaluating user info validation rule");
  return user;
}

function textClaim(claims: Claims, name: string, what: string): string {
  if (!has(claims, name)) throw new Refusal(`${what}: claim not present`);
  const value = claims[name];
  if (typeof value === "string") return value;
  throw new Refusal(`${what}: json: cannot unmarshal ${jsonKind(value)} into Go value of type string`);
}

function readUsername(claims: Claims, mapping: ClaimMapping): string {
  if (mapping && "expression" in mapping) {
    const what = "oidc: error evaluating username claim expression";
    const value = evaluate(mapping.expression, claims, what);
    if (typeof value !== "string") throw new Refusal(`${what}: username claim expression must return a string`);
    if (value === "") throw new Refusal("oidc: empty username via CEL expression is not allowed");
    return value;
  }
  const { claim = "", prefix = "" } = mapping ?? {};
  const name = textClaim(claims, claim, `oidc: parse username claims ${goQuote(claim)}`);
  if (claim === "email" && has(claims, "email_verified")) {
    const verified = claims.email_verified;
    if (typeof verified !== "boolean")
      throw new Refusal(
        `oidc: parse 'email_verified' claim: json: cannot unmarshal ${jsonKind(verified)} into Go value of type bool`,
      );
    if (!verified) throw new Refusal("oidc: email not verified");
  }
  return prefix + name;
}

function readGroups(claims: Claims, mapping: ClaimMapping): string[] {
  if (!mapping) return [];
  if ("expression" in mapping)
    return textList(mapping.expression, claims, "oidc: error evaluating group claim expression");
  const { claim, prefix } = mapping;
  if (!has(claims, claim)) return [];
  const value = claims[claim];
  // Some use a claim like "role", which is one text.
  const groups = typeof value === "string" ? [value] : value;
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === "string"))
    throw new Refusal(
      `oidc: parse groups claim ${goQuote(claim)}: json: cannot unmarshal ${jsonKind(value)} into Go value of type string`,
    );
  return groups.map((group) => prefix + group);
}

function readUid(claims: Claims, mapping: ClaimMapping): string {
  if (!mapping) return "";
  if ("claim" in mapping) return textClaim(claims, mapping.claim, `oidc: parse uid claim ${goQuote(mapping.claim)}`);
  const what = "oidc: error evaluating uid claim expression";
  const value = evaluate(mapping.expression, claims, what);
  if (typeof value !== "string") throw new Refusal(`${what}: uid claim expression must return a string`);
  return value;
}

function readExtra(claims: Claims, mappings: JwtConfiguration["extra"]): Record<string, string[]> {
  const extra: Record<string, string[]> = {};
  if (typeof claims.jti === "string" && claims.jti !== "")
    extra["authentication.kubernetes.io/credential-id"] = [`JTI=${claims.jti}`];
  for (const { key, expression } of mappings) {
    const values = textList(expression, claims, `oidc: error evaluating extra claim expression: ${expression.source}`);
    if (values.length > 0) extra[key] = values;
  }
  return extra;
}

function evaluate(expression: Expression, subject: unknown, what: string): unknown {
  const result = expression.evaluate(subject);
  if ("error" in result)
    throw new Refusal(`${what}: expression '${expression.source}' resulted in error: ${result.error}`);
  return result.value;
}

/** A text or a list of them; empty ones count as absent. */
function textList(expression: Expression, claims: Claims, what: string): string[] {
  const value = evaluate(expression, claims, what) ?? [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((each) => typeof each === "string"))
    throw new Refusal(`${what}: expression must return a string or a list of strings`);
  return list.filter((each) => each !== "");
}

function checkRules(rules: readonly Rule[], subject: unknown, what: string): void {
  for (const { expression, message } of rules) {
    const value = evaluate(expression, subject, what);
    if (typeof value !== "boolean") throw new Refusal(`${what}: validation expression must return a boolean`);
    if (!value) throw new Refusal(`${what}: validation expression '${expression.source}' failed: ${message}`);
  }
}

/** Names of claims come from files and tokens: what every object inherits is no claim. */
const has = (claims: Claims, name: string): boolean => Object.hasOwn(claims, name);

const jsonKind = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;

const objectOf = (value: unknown): Claims | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Claims) : undefined; // checked

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];

const printList = (list: readonly string[]): string => `[${list.map(goQuote).join(" ")}]`;

function printTime(ms: number): string {
  const date = new Date(Math.max(-timeMsMax, Math.min(ms, timeMsMax)));
  return `${date
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "")} +0000 UTC`;
}
