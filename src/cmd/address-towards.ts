/** Which of this machine's addresses others see that it talks to: that of the interface on the way there. Nothing is sent. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIP } from "node:net";

/** Undefined when there is no way there, or it is this machine itself. */
export async function addressTowards(server: string): Promise<string | undefined> {
  const { hostname, port } = new URL(server);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const socket = createSocket(isIP(host) === 6 ? "udp6" : "udp4");
  try {
    const connected = once(socket, "connect");
    socket.connect(Number(port) || 443, host);
    await connected;
    const { address } = socket.address();
    return /^(127\.|::1$|0\.0\.0\.0$)/.test(address) ? undefined : address;
  } catch {
    return undefined; // no route, or no such name: whoever connects says so
  } finally {
    socket.close();
  }
}
