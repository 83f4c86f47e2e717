/** The name of this server among others of its cluster: made from the host's, as upstream makes it. */
import { createHash } from "node:crypto";

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** `apiserver-wlv32tlttr4jl3gtroqexyxapa` */
export function serverId(hostname: string): string {
  const hash = createHash("sha256")
    .update(Buffer.concat([lengthPrefixed(hostname), lengthPrefixed("kube-apiserver")]))
    .digest()
    .subarray(0, 16);
  let bits = "";
  for (const byte of hash) bits += byte.toString(2).padStart(8, "0");
  let text = "";
  for (let at = 0; at < bits.length; at += 5)
    text += alphabet[Number.parseInt(bits.slice(at, at + 5).padEnd(5, "0"), 2)];
  return `apiserver-${text}`;
}

function lengthPrefixed(text: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Buffer.byteLength(text));
  return Buffer.concat([length, Buffer.from(text)]);
}
