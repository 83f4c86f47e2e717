/** One issuer of an AuthenticationConfiguration: as it stands in a file, and as it is used. */
import { type FieldError, type ShapeValue, shape } from "#machinery";
import type { CompileExpression, Expression } from "../expressions.ts";

const mapping = shape("PrefixedClaimOrExpression", { claim: "string", prefix: "string?", expression: "string" });
export const jwtShape = shape("JWTAuthenticator", {
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

export interface JwtRules {
  readonly compile: CompileExpression;
  /** Those of this server's own tokens. */
  readonly disallowedIssuers: readonly string[];
}

/** Mistakes are gathered. */
export interface Reading extends JwtRules {
  readonly errors: FieldError[];
  readonly signingAlgorithms: readonly string[];
}
