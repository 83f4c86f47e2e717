/** The client's certificate, read once for each connection. */
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { PeerCertificate } from "./exchange.ts";

const known = new WeakMap<TLSSocket, PeerCertificate | "none">();

export function peerCertificateOf(socket: TLSSocket): PeerCertificate | undefined {
  let found = known.get(socket);
  if (found === undefined) {
    const certificate = socket.getPeerX509Certificate?.();
    let issuers: readonly string[] | undefined;
    found = certificate
      ? {
          certificate,
          trusted: socket.authorized,
          issuers() {
            issuers ??= issuersOf(socket);
            return issuers;
          },
        }
      : "none";
    known.set(socket, found);
  }
  return found === "none" ? undefined : found;
}

function issuersOf(socket: TLSSocket): readonly string[] {
  const issuers: string[] = [];
  let below = socket.getPeerCertificate(true);
  // A self-signed one is its own issuer.
  for (let next = above(below); next && next !== below; next = above(below)) {
    issuers.push(next.fingerprint256);
    below = next;
  }
  return issuers;
}

/** Absent where the client didn't send it and the listener doesn't know it, whatever the types say. */
const above = (certificate: DetailedPeerCertificate): DetailedPeerCertificate | undefined =>
  certificate.issuerCertificate as DetailedPeerCertificate | undefined;
