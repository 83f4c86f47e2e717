/**
 * Which issuers' tokens are accepted, and what their claims mean: AuthenticationConfiguration files, and the `--oidc-…` flags, which say less
 * of the same. Read strictly and validated in upstream's words.
 */
import {
  ConfigurationError,
  decodeConfiguration,
  type FieldError,
  FieldPath,
  fieldError,
  goQuote,
  isDomainPrefixedPath,
  printFieldErrors,
  type ShapeValue,
  shape,
} from "#machinery";
import { type CompileExpression, compileAt, type Expression } from "../expressions.ts";
import type { AnonymousOptions } from "./authenticator.ts";
import { readAuthorities } from "./client-certificate.ts";
import { algorithms } from "./jwt.ts";

const mapping = shape("PrefixedClaimOrExpression", { claim: "string", prefix: "string?", expression: "string" });
const jwtShape = shape("JWTAuthenticator", {
  issuer: shape("Issuer", {
    url: "string",
    discoveryURL: "string",
    certificateAuthority: "string",
    audiences: ["string"],
    audienceMatchPolicy: "string",
    egressSelectorType: "string",
  }),
  claimValidationRules: [
    shape("ClaimValidationRule", { claim: "string", requiredValue: "string", expression: "string", message: "string" }),
  ],
  claimMappings: shape("ClaimMappings", {
    username: mapping,
    groups: mapping,
    uid: shape("ClaimOrExpression", { claim: "string", expression: "string" }),
    extra: [shape("ExtraMapping", { key: "string", valueExpression: "string" })],
  }),
  userValidationRules: [shape("UserValidationRule", { expression: "string", message: "string" })],
});

const kind = {
  kind: "AuthenticationConfiguration",
  apiVersions: ["v1", "v1beta1", "v1alpha1"].map((version) => `apiserver.config.k8s.io/${version}`),
  shape: shape("AuthenticationConfiguration", {
    jwt: [jwtShape],
    anonymous: {
      optional: shape("AnonymousAuthConfig", {
        enabled: "bool",
        conditions: [shape("AnonymousAuthCondition", { path: "string" })],
      }),
    },
  }),
} as const;

/** As in a file. */
export type GivenJwt = ShapeValue<typeof jwtShape>;

export type ClaimMapping =
  | { readonly claim: string; readonly prefix: string }
  | { readonly expression: Expression }
  | undefined;

export interface Rule {
  readonly expression: Expression;
  readonly message: string;
}

export interface JwtConfiguration {
  readonly issuer: string;
  readonly discoveryUrl: string;
  /** PEM; "": those of the machine. */
  readonly authorities: string;
  readonly audiences: readonly string[];
  readonly signingAlgorithms: readonly string[];
  readonly username: ClaimMapping;
  readonly groups: ClaimMapping;
  readonly uid: ClaimMapping;
  readonly extra: readonly { readonly key: string; readonly expression: Expression }[];
  /** Claims that must have exactly this text. */
  readonly requiredClaims: readonly { readonly claim: string; readonly value: string }[];
  readonly claimRules: readonly Rule[];
  readonly userRules: readonly Rule[];
}

export interface AuthenticationConfiguration {
  readonly jwt: readonly JwtConfiguration[];
  /** Undefined: the file says nothing about it. */
  readonly anonymous: AnonymousOptions | undefined;
}

export interface JwtRules {
  readonly compile: CompileExpression;
  /** Those of this server's own tokens. */
  readonly disallowedIssuers: readonly string[];
}

const authenticatorsMax = 64;

/** Throws with everything that is wrong. */
export async function parseAuthenticationConfiguration(
  text: string,
  rules: JwtRules,
): Promise<AuthenticationConfiguration> {
  if (text === "") throw new ConfigurationError("empty config data");
  const { jwt, anonymous } = await decodeConfiguration(text, kind);
  const errors: FieldError[] = [];
  const read = readAll(jwt, { ...rules, errors, signingAlgorithms: [...algorithms.keys()] });
  if (anonymous && !anonymous.enabled && anonymous.conditions.length > 0)
    errors.push(
      fieldError.invalid(
        FieldPath.root("anonymous").child("conditions"),
        anonymous.conditions,
        "enabled should be set to true when conditions are defined",
      ),
    );
  refuse(errors);
  return {
    jwt: read,
    anonymous: anonymous && {
      enabled: anonymous.enabled,
      paths: new Set(anonymous.conditions.map(({ path }) => path)),
    },
  };
}

export interface OidcFlags {
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly usernameClaim: string;
  readonly usernamePrefix: string;
  readonly groupsClaim: string;
  readonly groupsPrefix: string;
  /** PEM. */
  readonly authorities: string;
  readonly signingAlgorithms: readonly string[];
  /** `claim=value` */
  readonly requiredClaims: readonly string[];
}

/** What the `--oidc-…` flags mean. */
export function jwtOfFlags(flags: OidcFlags, rules: JwtRules): readonly JwtConfiguration[] {
  const { issuerUrl, usernameClaim, usernamePrefix, groupsClaim } = flags;
  for (const algorithm of flags.signingAlgorithms)
    if (!algorithms.has(algorithm))
      throw new ConfigurationError(`oidc: unsupported signing alg: ${goQuote(algorithm)}`);
  // Claims other than email may mean somebody else at another issuer.
  const byIssuer = usernamePrefix === "" && usernameClaim !== "email" ? `${issuerUrl}#` : usernamePrefix;
  const given: GivenJwt = {
    issuer: {
      url: issuerUrl,
      discoveryURL: "",
      certificateAuthority: flags.authorities,
      audiences: [flags.clientId],
      audienceMatchPolicy: "",
      egressSelectorType: "",
    },
    claimValidationRules: flags.requiredClaims.map((each) => {
      const at = each.indexOf("=");
      if (at < 0) throw new ConfigurationError(`malformed pair, expect string=string: ${each}`);
      return { claim: each.slice(0, at), requiredValue: each.slice(at + 1), expression: "", message: "" };
    }),
    claimMappings: {
      username: { claim: usernameClaim, prefix: byIssuer === "-" ? "" : byIssuer, expression: "" },
      groups: { claim: groupsClaim, prefix: groupsClaim === "" ? undefined : flags.groupsPrefix, expression: "" },
      uid: { claim: "", expression: "" },
      extra: [],
    },
    userValidationRules: [],
  };
  const errors: FieldError[] = [];
  const read = readAll([given], { ...rules, errors, signingAlgorithms: flags.signingAlgorithms });
  refuse(errors);
  return read;
}

function refuse(errors: readonly FieldError[]): void {
  if (errors.length > 0)
    throw new ConfigurationError(`invalid authentication configuration: ${printFieldErrors(errors)}`);
}

interface Reading extends JwtRules {
  readonly errors: FieldError[];
  readonly signingAlgorithms: readonly string[];
}

function readAll(given: readonly GivenJwt[], reading: Reading): JwtConfiguration[] {
  const root = FieldPath.root("jwt");
  const { errors } = reading;
  if (given.length > authenticatorsMax) {
    errors.push(fieldError.tooMany(root, given.length, authenticatorsMax));
    return [];
  }
  const seen = { url: new Set<string>(), discoveryURL: new Set<string>() };
  return given.map((each, position) => {
    const at = root.index(position);
    const read = readOne(each, at, reading);
    for (const field of ["url", "discoveryURL"] as const) {
      const url = each.issuer[field];
      if (url !== "" || field === "url") {
        if (seen[field].has(url)) errors.push(fieldError.duplicate(at.child("issuer", field), url));
        seen[field].add(url);
      }
    }
    return read;
  });
}

function readOne(given: GivenJwt, at: FieldPath, reading: Reading): JwtConfiguration {
  const { issuer, claimMappings, claimValidationRules, userValidationRules } = given;
  checkIssuer(issuer, at.child("issuer"), reading);
  const claimRules = readClaimRules(claimValidationRules, at.child("claimValidationRules"), reading);
  const mappings = readMappings(claimMappings, { at: at.child("claimMappings"), reading, claimRules });
  return {
    issuer: issuer.url,
    discoveryUrl: issuer.discoveryURL,
    authorities: issuer.certificateAuthority,
    audiences: issuer.audiences,
    signingAlgorithms: reading.signingAlgorithms,
    ...mappings,
    requiredClaims: claimValidationRules
      .filter(({ claim }) => claim !== "")
      .map(({ claim, requiredValue }) => ({ claim, value: requiredValue })),
    claimRules,
    userRules: readUserRules(userValidationRules, at.child("userValidationRules"), reading),
  };
}

function checkIssuer(issuer: GivenJwt["issuer"], at: FieldPath, { errors, disallowedIssuers }: Reading): void {
  const {
    url,
    discoveryURL,
    audiences,
    audienceMatchPolicy: policy,
    certificateAuthority,
    egressSelectorType,
  } = issuer;
  if (url === "") errors.push(fieldError.required(at.child("url")));
  else {
    if (disallowedIssuers.includes(url))
      errors.push(
        fieldError.invalid(
          at.child("url"),
          url,
          `URL must not overlap with disallowed issuers: [${[...disallowedIssuers].sort().join(" ")}]`,
        ),
      );
    checkUrl(url, at.child("url"), errors);
  }
  if (discoveryURL !== "") {
    const path = at.child("discoveryURL");
    const bare = (text: string) => text.replace(/\/+$/, "");
    if (url !== "" && bare(url) === bare(discoveryURL))
      errors.push(fieldError.invalid(path, discoveryURL, "discoveryURL must be different from URL"));
    checkUrl(discoveryURL, path, errors);
  }
  const list = at.child("audiences");
  if (audiences.length === 0) errors.push(fieldError.required(list, `at least one ${list.toString()} is required`));
  for (const [position, audience] of audiences.entries()) {
    if (audience === "") errors.push(fieldError.required(list.index(position)));
    if (audiences.indexOf(audience) < position) errors.push(fieldError.duplicate(list.index(position), audience));
  }
  const wrongPolicy = (detail: string) =>
    errors.push(fieldError.invalid(at.child("audienceMatchPolicy"), policy, detail));
  if (audiences.length > 1 && policy !== "MatchAny")
    wrongPolicy("audienceMatchPolicy must be MatchAny for multiple audiences");
  if (audiences.length === 1 && policy !== "" && policy !== "MatchAny")
    wrongPolicy("audienceMatchPolicy must be empty or MatchAny for single audience");
  if (certificateAuthority !== "") {
    try {
      readAuthorities(certificateAuthority);
    } catch (error) {
      // Of ours or of node:crypto.
      errors.push(fieldError.invalid(at.child("certificateAuthority"), "<omitted>", (error as Error).message));
    }
  }
  if (egressSelectorType !== "")
    errors.push(
      fieldError.invalid(
        at.child("egressSelectorType"),
        egressSelectorType,
        egressSelectorType === "controlplane" || egressSelectorType === "cluster"
          ? `oidc: egress lookup required with egress selector type ${goQuote(egressSelectorType)}`
          : "egress selector must be either controlplane or cluster",
      ),
    );
}

function checkUrl(text: string, at: FieldPath, errors: FieldError[]): void {
  const wrong = (detail: string) => void errors.push(fieldError.invalid(at, text, detail));
  if (!URL.canParse(text)) {
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
    wrong(scheme === "https" ? `parse ${goQuote(text)}: invalid URL` : "URL scheme must be https");
    return;
  }
  const url = new URL(text);
  if (url.protocol !== "https:") wrong("URL scheme must be https");
  if (url.username !== "" || url.password !== "") wrong("URL must not contain a username or password");
  if (url.search !== "") wrong("URL must not contain a query");
  if (url.hash !== "") wrong("URL must not contain a fragment");
}

function readClaimRules(rules: GivenJwt["claimValidationRules"], at: FieldPath, { compile, errors }: Reading): Rule[] {
  const seen = { claims: new Set<string>(), expressions: new Set<string>() };
  return rules.flatMap(({ claim, requiredValue, expression, message }, position) => {
    const path = at.index(position);
    if (claim !== "" && expression !== "")
      errors.push(fieldError.invalid(path, claim, "claim and expression can't both be set"));
    else if (claim === "" && expression === "")
      errors.push(fieldError.required(path, "claim or expression is required"));
    else if (claim !== "") {
      if (message !== "")
        errors.push(fieldError.invalid(path.child("message"), message, "may not be specified when claim is set"));
      if (seen.claims.has(claim)) errors.push(fieldError.duplicate(path.child("claim"), claim));
      seen.claims.add(claim);
    } else {
      const field = path.child("expression");
      if (requiredValue !== "")
        errors.push(
          fieldError.invalid(path.child("requiredValue"), requiredValue, "may not be specified when expression is set"),
        );
      if (seen.expressions.has(expression)) errors.push(fieldError.duplicate(field, expression));
      else {
        seen.expressions.add(expression);
        const compiled = compileAt(field, expression, { compile, errors, scope: "claims", returns: "bool" });
        if (compiled) return [{ expression: compiled, message }];
      }
    }
    return [];
  });
}

function readUserRules(rules: GivenJwt["userValidationRules"], at: FieldPath, { compile, errors }: Reading): Rule[] {
  const seen = new Set<string>();
  return rules.flatMap(({ expression, message }, position) => {
    const field = at.index(position).child("expression");
    if (expression === "") errors.push(fieldError.required(field));
    else if (seen.has(expression)) errors.push(fieldError.duplicate(field, expression));
    else {
      seen.add(expression);
      const compiled = compileAt(field, expression, { compile, errors, scope: "user", returns: "bool" });
      if (compiled) return [{ expression: compiled, message }];
    }
    return [];
  });
}

interface MappingContext {
  readonly at: FieldPath;
  readonly reading: Reading;
  readonly claimRules: readonly Rule[];
}

function readMappings(
  { username, groups, uid, extra }: GivenJwt["claimMappings"],
  { at, reading, claimRules }: MappingContext,
): Pick<JwtConfiguration, "username" | "groups" | "uid" | "extra"> {
  const { compile, errors } = reading;
  const compiled = (path: FieldPath, source: string) =>
    compileAt(path, source, { compile, errors, scope: "claims", returns: "any" });
  const prefixed = (field: "username" | "groups", given: typeof username): ClaimMapping => {
    const path = at.child(field);
    const { claim, prefix, expression } = given;
    if (expression !== "" && claim !== "") {
      errors.push(fieldError.invalid(path, "", "claim and expression can't both be set"));
      return undefined;
    }
    if (expression !== "") {
      if (prefix !== undefined)
        errors.push(fieldError.invalid(path.child("prefix"), prefix, "may not be specified when expression is set"));
      const found = compiled(path.child("expression"), expression);
      return found && { expression: found };
    }
    if (claim === "") {
      if (field === "username") errors.push(fieldError.required(path, "claim or expression is required"));
      return undefined;
    }
    if (prefix === undefined)
      errors.push(
        fieldError.required(
          path.child("prefix"),
          "prefix is required when claim is set. It can be set to an empty string to disable prefixing",
        ),
      );
    return { claim, prefix: prefix ?? "" };
  };
  const name = prefixed("username", username);
  const read = {
    username: name,
    groups: prefixed("groups", groups),
    uid: readUid(uid, { at: at.child("uid"), errors, compiled }),
    extra: readExtra(extra, { at: at.child("extra"), errors, compiled }),
  };
  // Whoever takes an address for a name must look whether it is the holder's.
  const verified = [name, ...read.extra, ...claimRules].some(
    (each) => each !== undefined && "expression" in each && each.expression.selects("claims", "email_verified"),
  );
  if (name && "expression" in name && name.expression.selects("claims", "email") && !verified)
    errors.push(
      fieldError.invalid(
        at.child("username", "expression"),
        username.expression,
        "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression",
      ),
    );
  return read;
}

interface Compiling {
  readonly at: FieldPath;
  readonly errors: FieldError[];
  readonly compiled: (path: FieldPath, source: string) => Expression | undefined;
}

function readUid(
  { claim, expression }: GivenJwt["claimMappings"]["uid"],
  { at, errors, compiled }: Compiling,
): ClaimMapping {
  if (claim !== "" && expression !== "") {
    errors.push(fieldError.invalid(at, "", "claim and expression can't both be set"));
    return undefined;
  }
  if (claim !== "") return { claim, prefix: "" };
  const found = expression === "" ? undefined : compiled(at.child("expression"), expression);
  return found && { expression: found };
}

function readExtra(
  extra: GivenJwt["claimMappings"]["extra"],
  { at, errors, compiled }: Compiling,
): JwtConfiguration["extra"] {
  const seen = new Set<string>();
  return extra.flatMap(({ key, valueExpression }, position) => {
    const path = at.index(position);
    const field = path.child("key");
    if (key === "") errors.push(fieldError.required(field));
    else
      for (const { value, message } of isDomainPrefixedPath(key))
        errors.push(fieldError.invalid(field, value, message));
    if (key !== key.toLowerCase()) errors.push(fieldError.invalid(field, key, "must be lowercase"));
    const domain = key.includes("/") ? (key.split("/")[0] ?? "") : "";
    if (/(^|\.)(kubernetes|k8s)\.io$/.test(domain))
      errors.push(
        fieldError.invalid(field, key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"),
      );
    if (seen.has(key)) {
      errors.push(fieldError.duplicate(field, key));
      return [];
    }
    seen.add(key);
    if (valueExpression === "") {
      errors.push(fieldError.required(path.child("valueExpression")));
      return [];
    }
    const expression = compiled(path.child("valueExpression"), valueExpression);
    return expression ? [{ key, expression }] : [];
  });
}
