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
  printFieldErrors,
  shape,
} from "#machinery";
import type { AnonymousOptions } from "./authenticator.ts";
import { readAuthorities } from "./client-certificate.ts";
import { algorithms } from "./jwt.ts";
import { readClaimRules, readMappings, readUserRules } from "./jwt-mappings.ts";
import { type GivenJwt, type JwtConfiguration, type JwtRules, jwtShape, type Reading } from "./jwt-shape.ts";

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

export interface AuthenticationConfiguration {
  readonly jwt: readonly JwtConfiguration[];
  /** Undefined: the file says nothing about it. */
  readonly anonymous: AnonymousOptions | undefined;
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
