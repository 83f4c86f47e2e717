/** The client's certificate, read once for each connection. */
import type { TLSSocket } from "node:tls";
import type { PeerCertificate } from "./exchange.ts";

const known = new WeakMap<TLSSocket, PeerCertificate | "none">();

export function peerCertificateOf(socket: TLSSocket): PeerCertificate | undefined {
  let found = known.get(socket);
  if (found === undefined) {
    const certificate = socket.getPeerX509Certificate?.();
    found = certificate ? { certificate, trusted: socket.authorized } : "none";
    known.set(socket, found);
  }
  return found === "none" ? undefined : found;
}
