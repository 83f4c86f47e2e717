/** A kube-apiserver and its etcd on loopback, for those who have them: the same questions get the same measures. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";

export interface KubeApiServer {
  readonly port: number;
  /** The server's and etcd's: both are needed for one answer. */
  readonly pids: readonly number[];
  readonly authority: Buffer;
}

export interface KubeApiServerOptions {
  /** Paths of the two programs. */
  readonly apiserver: string;
  readonly etcd: string;
  readonly folder: string;
  readonly tokens: string;
  readonly token: string;
  /** Starts a program and answers its pid. */
  readonly start: (program: string, args: readonly string[]) => number;
  readonly freePort: () => Promise<number>;
}

const readyMsMax = 60_000;

/** As `kube-apiserver --help` says for one server with tokens; admission as it is by default. */
export async function startKubeApiServer(options: KubeApiServerOptions): Promise<KubeApiServer> {
  const { apiserver, etcd, tokens, token, start, freePort } = options;
  const folder = join(options.folder, "upstream");
  mkdirSync(folder);
  const key = join(folder, "accounts.key");
  writeFileSync(key, execFileSync("openssl", ["genrsa", "2048"], { stdio: ["ignore", "pipe", "ignore"] }));
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const at = (number: number) => `http://127.0.0.1:${number}`;
  const etcdPid = start(etcd, [
    ...["--data-dir", join(folder, "etcd"), "--log-level", "error"],
    ...["--listen-client-urls", at(client), "--advertise-client-urls", at(client)],
    ...["--listen-peer-urls", at(peer), "--initial-advertise-peer-urls", at(peer)],
    ...["--initial-cluster", `default=${at(peer)}`],
  ]);
  const pid = start(apiserver, [
    ...["--etcd-servers", at(client), "--cert-dir", folder, "--bind-address", "127.0.0.1"],
    ...[
      "--advertise-address",
      "127.0.0.1",
      "--secure-port",
      String(port),
      "--service-cluster-ip-range",
      "10.96.0.0/16",
    ],
    ...["--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key],
    ...["--service-account-signing-key-file", key, "--token-auth-file", tokens],
    ...["--authorization-mode", "Node,RBAC", "--endpoint-reconciler-type", "none", "--v", "0"],
  ]);
  const end = Date.now() + readyMsMax;
  while (!(await ready(port, token))) {
    if (Date.now() > end) throw new Error(`kube-apiserver is not ready within ${readyMsMax} ms`);
    await new Promise((next) => setTimeout(next, 50));
  }
  return { port, pids: [pid, etcdPid], authority: readFileSync(join(folder, "apiserver.crt")) };
}

/** Its certificate is its own, made at the start. */
const ready = (port: number, token: string) =>
  new Promise<boolean>((resolve) => {
    const options = { host: "127.0.0.1", port, path: "/readyz", rejectUnauthorized: false };
    request({ ...options, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    })
      .on("error", () => resolve(false))
      .end();
  });
