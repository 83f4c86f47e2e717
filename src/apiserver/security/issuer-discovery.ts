/** The OIDC discovery documents with which others verify service-account tokens. */
import type { Answer } from "../answer.ts";
import type { PathHandler } from "../paths.ts";
import { statusError } from "#machinery";
import type { AccountTokens } from "./account-tokens.ts";

/** `jwksUri`: where others find the keys; without it, at the issuer. */
export function discoveryPaths(tokens: AccountTokens, jwksUri?: string): ReadonlyMap<string, PathHandler> {
  const serve =
    (path: string, contentType: string, document: () => object): PathHandler =>
    ({ method, parts }) => {
      if (`/${parts.join("/")}` !== path) return undefined;
      if (method !== "GET") throw statusError.methodNotAllowed();
      const headers = { "content-type": contentType, "cache-control": "public, max-age=3600" };
      return { type: "raw", status: 200, headers, body: JSON.stringify(document()) } satisfies Answer;
    };
  return new Map([
    [
      ".well-known",
      serve("/.well-known/openid-configuration", "application/json", () => ({
        issuer: tokens.issuer,
        jwks_uri: jwksUri ?? `${tokens.issuer}/openid/v1/jwks`,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: [...new Set(tokens.keySet().keys.map(({ alg }) => alg))].sort(),
      })),
    ],
    ["openid", serve("/openid/v1/jwks", "application/jwk-set+json", () => tokens.keySet())],
  ]);
}
