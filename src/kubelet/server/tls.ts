/** TLS settings under Go's names. */
import type { SecureVersion } from "node:tls";

const versions: Readonly<Record<string, SecureVersion>> = {
  VersionTLS10: "TLSv1",
  VersionTLS11: "TLSv1.1",
  VersionTLS12: "TLSv1.2",
  VersionTLS13: "TLSv1.3",
};

/** 1.2 without one, as upstream. */
export const tlsVersion = (name: string): SecureVersion => versions[name] ?? "TLSv1.2";

/** Go has no choice among these. */
const ofTls13 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];

/** `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is OpenSSL's `ECDHE-RSA-AES128-GCM-SHA256`. */
export function cipherNames(suites: readonly string[]): string {
  const names = suites.map((suite) =>
    suite
      .replace(/^TLS_(RSA_WITH_)?/, "")
      .replace("_WITH_", "_")
      .replace(/AES_(\d+)/, "AES$1")
      .replace("_CBC", "")
      .replace(/POLY1305_SHA256$/, "POLY1305")
      .replaceAll("_", "-"),
  );
  return [...ofTls13, ...names].join(":");
}
