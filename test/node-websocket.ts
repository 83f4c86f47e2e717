/** A client of a node's own server: a command over `v5.channel.k8s.io`, whose input ends. Prints what it saw as JSON. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { WebSocket } from "ws";
import { parse } from "yaml";

const { users } = parse(readFileSync(process.env.KUBECONFIG ?? "", "utf8"));
const decode = (text: string): Buffer => Buffer.from(text, "base64");
const address = execFileSync("kubectl", ["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}"], {
  encoding: "utf8",
});
const socket = new WebSocket(
  `wss://${address}:10250/exec/default/many/a?input=1&output=1&error=1&command=cat`,
  ["v5.channel.k8s.io"],
  {
    cert: decode(users[0].user["client-certificate-data"]),
    key: decode(users[0].user["client-key-data"]),
    rejectUnauthorized: false,
  },
);
const channels: string[] = [];
socket.on("message", (data: Buffer) => {
  const number = data[0] ?? 0;
  channels[number] = (channels[number] ?? "") + data.subarray(1).toString();
});
socket.once("open", () => {
  socket.send(Buffer.from("\0typed\n"));
  socket.send(Buffer.from([255, 0]));
});
await new Promise((resolve, reject) => {
  socket.once("close", resolve);
  socket.once("error", reject);
});
const { status } = JSON.parse(channels[3] ?? "{}");
process.stdout.write(JSON.stringify({ protocol: socket.protocol, out: channels[1], status }));
