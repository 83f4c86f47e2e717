/** A bare API server for development: SQLite store, static tokens, a certificate made at start. */
import "reflect-metadata";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { facts, kinds, type RequestUser } from "#api";
import { createApiServer } from "#apiserver";
import { createLogger, realClock } from "#base";
import { openSqliteStore } from "#store";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      "data-dir": { type: "string", default: "/tmp/sampan-apiserver" },
      "secure-port": { type: "string", default: "6443" },
      "bind-address": { type: "string", default: "127.0.0.1" },
      "token-auth-file": { type: "string" },
      "service-cidr": { type: "string", default: "10.96.0.0/16" },
    },
  });
  const log = createLogger({ write: (line) => process.stderr.write(line) });
  const directory = values["data-dir"];
  mkdirSync(directory, { recursive: true });
  const store = await openSqliteStore({ path: path.join(directory, "state.db"), log });
  const users = readTokens(values["token-auth-file"]);
  const server = createApiServer(
    { tls: await selfSigned(), serviceCidr: values["service-cidr"] },
    {
      store,
      clock: realClock,
      log,
      facts,
      kinds,
      authenticator: {
        authenticate: ({ headers }) => users.get(/^bearer (.*)$/i.exec(headers.authorization ?? "")?.[1] ?? ""),
      },
      authorizer: {
        authorize: ({ user }) => ({ allowed: user.groups.includes("system:masters"), reason: "" }),
      },
    },
  );
  await server.prepare();
  const { port } = await server.listen({ host: values["bind-address"], port: Number(values["secure-port"]) });
  log.info("serving", { port });
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  await server.run(stop.signal);
  await store.close();
}

function readTokens(file: string | undefined): ReadonlyMap<string, RequestUser> {
  const users = new Map<string, RequestUser>();
  for (const line of file === undefined ? [] : readFileSync(file, "utf8").split("\n")) {
    const [token = "", name = "", uid = "", groups = ""] = line.match(/("[^"]*"|[^,]+)/g)?.map((each) => each.replaceAll('"', "").trim()) ?? [];
    if (token === "") continue;
    const own = groups === "" ? [] : groups.split(",");
    users.set(token, { name, uid, groups: [...own, "system:authenticated"], extra: {} });
  }
  return users;
}

async function selfSigned(): Promise<{ key: string; cert: string }> {
  const { X509CertificateGenerator, SubjectAlternativeNameExtension } = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const cert = await X509CertificateGenerator.createSelfSigned({
    name: "CN=sampan",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new SubjectAlternativeNameExtension([{ type: "dns", value: "localhost" }, { type: "ip", value: "127.0.0.1" }])],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8.match(/.{1,64}/g)?.join("\n")}\n-----END PRIVATE KEY-----\n`,
    cert: cert.toString("pem"),
  };
}

await main();
