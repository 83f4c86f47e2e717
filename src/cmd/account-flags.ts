/** Tokens of service accounts: who issues them, with which keys, for how long. */
import { type AccountSettings, readPublicKeys } from "#apiserver";
import { type FlagSpecs, type FlagValues, printDuration } from "#base";
import { CommandError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";
import { list, text, time, whole } from "./flag-spec.ts";

export const accountFlags = {
  "api-audiences": list("NAMES", "Audiences of this server (default: the issuers of service-account tokens)."),
  "service-account-issuer": whole("URL", "Issuer of service-account tokens; repeated: more whose tokens are accepted."),
  "service-account-signing-key-file": text("FILE", "Private key that signs them (default: pki/sa.key)."),
  "service-account-key-file": whole(
    "FILE",
    "Keys whose tokens are accepted; may be repeated (default: the signing key).",
  ),
  "service-account-jwks-uri": text("URL", "Where others find these keys."),
  "service-account-max-token-expiration": time("Longest life of a token that is asked for."),
  "service-account-extend-token-expiration": {
    type: "bool",
    default: true as boolean,
    help: "Let tokens that pods get by default live a year.",
  },
} as const satisfies FlagSpecs;

const hourSeconds = 3600;
const lifeSecondsMax = 2 ** 32;
const extendedSeconds = 365 * 24 * hourSeconds;
const warnOnlySeconds = hourSeconds + 7;

export async function readAccounts(
  values: FlagValues<typeof accountFlags>,
  warn: (text: string) => void,
): Promise<Partial<AccountSettings>> {
  const issuers = values["service-account-issuer"];
  for (const [at, issuer] of issuers.entries()) {
    if (issuer.includes(":") && !URL.canParse(issuer))
      throw new CommandError(`service-account-issuer "${issuer}" contained a ':' but was not a valid URL`);
    if (issuers.indexOf(issuer) < at) throw new CommandError(`service-account-issuer "${issuer}" is already specified`);
  }
  const jwksUri = values["service-account-jwks-uri"];
  if (jwksUri && !/^https:/.test(jwksUri))
    throw new CommandError(`service-account-jwks-uri requires https scheme, parsed as: ${jwksUri}`);
  const lifeMs = values["service-account-max-token-expiration"] ?? 0;
  const extendLife = values["service-account-extend-token-expiration"];
  const seconds = Math.floor(lifeMs / 1000);
  if (seconds !== 0 && (seconds < hourSeconds || seconds > lifeSecondsMax))
    throw new CommandError("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds");
  if (extendLife && seconds !== 0 && seconds < warnOnlySeconds)
    warn(
      `service-account-extend-token-expiration is true, in order to correctly trigger safe transition logic, service-account-max-token-expiration must be set longer than ${warnOnlySeconds} seconds (currently ${printDuration(lifeMs)})`,
    );
  if (extendLife && seconds !== 0 && seconds < extendedSeconds)
    warn(
      `service-account-extend-token-expiration is true, enabling tokens valid up to ${extendedSeconds} seconds, which is longer than service-account-max-token-expiration set to ${printDuration(lifeMs)}`,
    );
  const signingKey = await readConfigFile(
    "service-account-signing-key-file",
    values["service-account-signing-key-file"],
    (pem) => readPublicKeys(pem) && pem,
  );
  const verificationKeys = await Promise.all(
    values["service-account-key-file"].map((file) =>
      readConfigFile("service-account-key-file", file, (pem) => readPublicKeys(pem) && pem),
    ),
  );
  const audiences = values["api-audiences"];
  return {
    ...(signingKey !== undefined && { signingKey }),
    ...(verificationKeys.length > 0 && { verificationKeys: verificationKeys.filter((key) => key !== undefined) }),
    ...(issuers.length > 0 && { issuers }),
    ...(audiences.length > 0 && { audiences }),
    ...(jwksUri && { jwksUri }),
    lifeSecondsMax: seconds,
    extendLife,
  };
}
