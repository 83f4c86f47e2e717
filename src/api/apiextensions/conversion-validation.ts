/** How versions of a custom kind are converted. Follows apiextensions/validation (validateCustomResourceConversion). */
import { X509Certificate } from "node:crypto";
import { isDns1035Label } from "#machinery";
import { validateClientConfig } from "../admissionregistration/webhook-client.ts";
import type { Place } from "../place.ts";
import type { CustomResourceConversion } from "../types.d.ts";

const reviewVersions = ["v1", "v1beta1"];

export interface ConversionOptions {
  /** The old definition knew none of ours either. */
  readonly anyReviewVersion: boolean;
  /** Nothing depends on it yet, or it was wrong before. */
  readonly anyCaBundle: boolean;
}

/** No list counts as one: there was no webhook. */
export const hasKnownReviewVersion = (versions: readonly string[]): boolean =>
  versions.length === 0 || versions.some((version) => reviewVersions.includes(version));

/** As Go's loader of root certificates says it; undefined: it is fine, or there is none. */
export function caBundleProblem(bundle: string | undefined): string | undefined {
  if (!bundle) return undefined;
  const text = Buffer.from(bundle, "base64").toString("latin1");
  // Spaces count as nothing.
  if (text.trim() === "") return undefined;
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const fail = (why: string) => `unable to load root certificates: ${why}`;
  if (blocks.length === 0) return fail("unable to parse bytes as PEM block");
  try {
    for (const block of blocks) new X509Certificate(block);
    return undefined;
  } catch {
    // What exactly is wrong inside is told in the words of another parser upstream.
    return fail("failed to parse certificate: x509: malformed certificate");
  }
}

export function validateConversion(
  { strategy = "", webhook }: Partial<CustomResourceConversion>,
  at: Place,
  options: ConversionOptions,
): void {
  if (strategy === "") at.child("strategy").required();
  else if (strategy !== "None" && strategy !== "Webhook")
    at.child("strategy").notSupported(strategy, ["None", "Webhook"]);
  const client = at.child("webhookClientConfig");
  const versions = at.child("conversionReviewVersions");
  const { clientConfig, conversionReviewVersions = [] } = webhook ?? {};
  if (strategy === "Webhook") {
    if (!clientConfig) client.required("required when strategy is set to Webhook");
    else {
      validateClientConfig(clientConfig, client);
      const problem = options.anyCaBundle ? undefined : caBundleProblem(clientConfig.caBundle);
      if (problem !== undefined) client.child("caBundle").invalid(clientConfig.caBundle, problem);
    }
    validateReviewVersions(conversionReviewVersions, versions, options.anyReviewVersion);
    return;
  }
  const why = "should not be set when strategy is not set to Webhook";
  if (clientConfig) client.forbidden(why);
  if (conversionReviewVersions.length > 0) versions.forbidden(why);
}

function validateReviewVersions(versions: readonly string[], at: Place, any: boolean): void {
  if (versions.length === 0) {
    at.required();
    return;
  }
  versions.forEach((version, i) => {
    if (versions.indexOf(version) < i) at.index(i).invalid(version, "duplicate version");
    else at.index(i).invalidEach(version, isDns1035Label(version));
  });
  if (!any && !hasKnownReviewVersion(versions))
    at.invalid(versions, `must include at least one of ${reviewVersions.join(", ")}`);
}
