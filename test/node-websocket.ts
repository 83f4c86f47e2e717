/** A client of a node's own server: a command over `v5.channel.k8s.io`, whose input ends, and SPDY in a tunnel. Prints what it saw as JSON. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import { parse } from "yaml";

const { users } = parse(readFileSync(process.env.KUBECONFIG ?? "", "utf8"));
const decode = (text: string): Buffer => Buffer.from(text, "base64");
const address = execFileSync("kubectl", ["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}"], {
  encoding: "utf8",
});
const tls = {
  cert: decode(users[0].user["client-certificate-data"]),
  key: decode(users[0].user["client-key-data"]),
  rejectUnauthorized: false,
};
const open = (path: string, protocol: string) => new WebSocket(`wss://${address}:10250${path}`, [protocol], tls);

async function runCommand(): Promise<object> {
  const socket = open("/exec/default/many/a?input=1&output=1&error=1&command=cat", "v5.channel.k8s.io");
  const channels: string[] = [];
  socket.on("message", (data: Buffer) => {
    const number = data[0] ?? 0;
    channels[number] = (channels[number] ?? "") + data.subarray(1).toString();
  });
  socket.once("open", () => {
    socket.send(Buffer.from("\0typed\n"));
    // The end of the first channel.
    socket.send(Buffer.from([255, 0]));
  });
  await new Promise((resolve, reject) => {
    socket.once("close", resolve);
    socket.once("error", reject);
  });
  return { protocol: socket.protocol, out: channels[1], status: JSON.parse(channels[3] ?? "{}").status };
}

/** SPDY's own ping, as the runtime sends it back. The library takes no name with a slash for a protocol, so frames are made by hand. */
async function pingThroughTunnel(): Promise<object> {
  const protocol = "SPDY/3.1+portforward.k8s.io";
  const ping = Buffer.from([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]);
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": Buffer.alloc(16).toString("base64"),
    "sec-websocket-protocol": protocol,
  };
  const asked = request(`https://${address}:10250/portForward/default/web`, { ...tls, headers });
  asked.on("response", (response) => process.stderr.write(`refused: ${response.statusCode}\n`));
  asked.end();
  const [response, socket] = (await once(asked, "upgrade")) as [IncomingMessage, Socket];
  // One binary message, masked with zeros.
  socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | ping.length, 0, 0, 0, 0]), ping]));
  let answer = Buffer.alloc(0);
  while (answer.length < 2 + ping.length) answer = Buffer.concat([answer, (await once(socket, "data"))[0] as Buffer]);
  socket.destroy();
  const spoken = response.headers["sec-websocket-protocol"] === protocol;
  return { tunnel: spoken && answer.equals(Buffer.concat([Buffer.from([0x82, ping.length]), ping])) };
}

process.stdout.write(JSON.stringify({ ...(await runCommand()), ...(await pingThroughTunnel()) }));
