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

/** The same for a request over TLS to someone with a name. `host`: with the port. */
export function printRequestError(error: unknown, { host, serverName }: { host: string; serverName: string }): string {
  const { code, message, cert } = error as NodeJS.ErrnoException & { cert?: { subjectaltname?: string } }; // from a socket
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = (cert?.subjectaltname ?? "").replace(/(DNS|IP Address):/g, "");
    const why =
      names === ""
        ? `certificate is not valid for any names, but wanted to match ${serverName}`
        : `certificate is valid for ${names}, not ${serverName}`;
    return `tls: failed to verify certificate: x509: ${why}`;
  }
  if (code === "ENOTFOUND") return `dial tcp: lookup ${host.replace(/:\d+$/, "")}: no such host`;
  if (code === "ECONNRESET" && message === "socket hang up") return "EOF";
  return printDialError(error, host);
}
