/**
 * A client of `channel.k8s.io` and its relatives, which kubectl never spoke but others do: a command and a forwarded port of pods of
 * `streaming.test.ts`. Prints what it saw as JSON.
 */
import { readFileSync } from "node:fs";
import { WebSocket } from "ws";
import { parse } from "yaml";

async function oldProtocols(): Promise<object> {
  const { clusters, users } = parse(readFileSync(process.env.KUBECONFIG ?? "", "utf8"));
  const decode = (text: string): Buffer => Buffer.from(text, "base64");
  const tls = {
    ca: decode(clusters[0].cluster["certificate-authority-data"]),
    cert: decode(users[0].user["client-certificate-data"]),
    key: decode(users[0].user["client-key-data"]),
  };
  const server = clusters[0].cluster.server.replace("https:", "wss:");
  const open = (path: string, protocol: string) =>
    new WebSocket(`${server}/api/v1/namespaces/default/pods/${path}`, [protocol], tls);
  /** Text by channel, until the server closes. */
  const collect = (socket: WebSocket, done = (_channels: string[]): boolean => false): Promise<string[]> =>
    new Promise((resolve, reject) => {
      const channels: string[] = [];
      socket.on("message", (data: Buffer) => {
        const base64 = socket.protocol.includes("base64");
        const number = base64 ? Number(String.fromCharCode(data[0] ?? 0)) : (data[0] ?? 0);
        const rest = base64 ? decode(data.subarray(1).toString()) : data.subarray(1);
        channels[number] = (channels[number] ?? "") + rest.toString("latin1");
        if (done(channels)) socket.close();
      });
      socket.on("close", () => resolve(channels));
      socket.on("error", reject);
    });
  const exec = await collect(open("talk/exec?stdout=1&stderr=1&command=echo&command=old", "v4.base64.channel.k8s.io"));
  const forward = open("web/portforward?ports=80", "v4.channel.k8s.io");
  const request = Buffer.from("GET /hello HTTP/1.0\r\n\r\n");
  forward.once("open", () => forward.send(Buffer.concat([Buffer.from([0]), request])));
  const [data = ""] = await collect(forward, ([text = ""]) => text.endsWith("hello\n"));
  return { exec: exec[1], status: JSON.parse(exec[3] ?? "{}").status, forwarded: data.endsWith("hello\n") };
}

process.stdout.write(JSON.stringify(await oldProtocols()));
