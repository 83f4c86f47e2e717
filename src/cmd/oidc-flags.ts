/** Issuers elsewhere whose tokens are accepted: the `--oidc-…` flags, or a file that says more. */
import { type JwtRules, jwtOfFlags, loadExpressionCompiler, parseAuthenticationConfiguration } from "#apiserver";
import type { FlagSpecs, FlagValues } from "#base";
import { CommandError } from "./command.ts";
import { followConfigFile, readConfigFile } from "./config-file.ts";
import { givenFlags, list, text, whole } from "./flag-spec.ts";
import type { FollowedSecurity } from "./followed-security.ts";

export const oidcFlags = {
  "authentication-config": text("FILE", "Issuers of tokens and anonymous access: an AuthenticationConfiguration."),
  "oidc-issuer-url": text("URL", "An issuer of tokens (OpenID Connect)."),
  "oidc-client-id": text("ID", "For whom its tokens must be."),
  "oidc-ca-file": text("FILE", "Authorities of the issuer's certificate (default: the machine's)."),
  "oidc-username-claim": text("CLAIM", "Claim that is the user's name (default sub)."),
  "oidc-username-prefix": text("PREFIX", "Put before it; - for nothing (default: the issuer and #, except for email)."),
  "oidc-groups-claim": text("CLAIM", "Claim that holds the groups."),
  "oidc-groups-prefix": text("PREFIX", "Put before each group."),
  "oidc-signing-algs": list("NAMES", "Algorithms that its tokens may be signed with (default RS256)."),
  "oidc-required-claim": whole("CLAIM=VALUE", "A claim that its tokens must have; may be repeated."),
} as const satisfies FlagSpecs;

type Values = FlagValues<typeof oidcFlags>;

export async function readAuthentication(values: Values, disallowedIssuers: readonly string[]) {
  const file = values["authentication-config"];
  const oidc = givenFlags(values, "oidc-");
  if (!file) return { jwt: await readOidc(values, oidc, disallowedIssuers), anonymous: undefined };
  if (oidc.length > 0) throw new CommandError("authentication-config file and oidc-* flags are mutually exclusive");
  const rules: JwtRules = { compile: await loadExpressionCompiler(), disallowedIssuers };
  const read = await readConfigFile("authentication-config", file, async (given) => ({
    given,
    ...(await parseAuthenticationConfiguration(given, rules)),
  }));
  const { given: first = "", jwt = [], anonymous } = read ?? {};
  const printed = (of: typeof anonymous) => JSON.stringify(of && { ...of, paths: [...of.paths] });
  return {
    jwt,
    anonymous,
    follow(followed: FollowedSecurity) {
      const apply = async (changed: string) => {
        const next = await parseAuthenticationConfiguration(changed, rules);
        if (printed(next.anonymous) !== printed(anonymous))
          throw new Error("anonymous: Forbidden: changed from initial configuration file");
        await followed.security.setJwt(next.jwt);
      };
      followConfigFile({ ...followed, file, text: first, apply });
    },
  };
}

async function readOidc(values: Values, given: readonly string[], disallowedIssuers: readonly string[]) {
  if (given.length === 0) return [];
  const { "oidc-issuer-url": issuerUrl, "oidc-client-id": clientId } = values;
  if (!issuerUrl || !clientId)
    throw new CommandError(
      "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set",
    );
  const algorithms = values["oidc-signing-algs"];
  const authorities = await readConfigFile("oidc-ca-file", values["oidc-ca-file"], (pem) => pem);
  return usable(() =>
    jwtOfFlags(
      {
        issuerUrl,
        clientId,
        usernameClaim: values["oidc-username-claim"] ?? "sub",
        usernamePrefix: values["oidc-username-prefix"] ?? "",
        groupsClaim: values["oidc-groups-claim"] ?? "",
        groupsPrefix: values["oidc-groups-prefix"] ?? "",
        authorities: authorities ?? "",
        signingAlgorithms: algorithms.length > 0 ? algorithms : ["RS256"],
        requiredClaims: values["oidc-required-claim"],
      },
      { compile: () => ({ problem: "flags hold no expressions" }), disallowedIssuers },
    ),
  );
}

/** What is wrong with flags is told like what is wrong with a file. */
function usable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CommandError((error as Error).message); // a ConfigurationError, or of node:crypto
  }
}
