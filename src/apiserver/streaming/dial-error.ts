/** Why nobody could be reached, in the words of Go's net package: people search for them. */

const texts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connect: connection refused",
  EHOSTUNREACH: "connect: no route to host",
  ENETUNREACH: "connect: network is unreachable",
  ECONNRESET: "read: connection reset by peer",
  ETIMEDOUT: "i/o timeout",
  CERT_HAS_EXPIRED: "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "tls: failed to verify certificate: x509: certificate signed by unknown authority",
  SELF_SIGNED_CERT_IN_CHAIN: "tls: failed to verify certificate: x509: certificate signed by unknown authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls: failed to verify certificate: x509: certificate signed by unknown authority",
};

/** `host`: with the port. */
export function printDialError(error: unknown, host: string): string {
  const { code = "", message } = error as NodeJS.ErrnoException; // from a socket
  const text = texts[code] ?? message;
  return text.startsWith("tls: ") ? text : `dial tcp ${host}: ${text}`;
}
