/** An issuer of tokens for tests: a real HTTPS server with a document and keys, that can be made to hang, to lie and to change its keys. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { createAuthority, issueCertificate } from "../certificates.ts";
import { algorithms, signingOptions } from "./jwt.ts";

export interface TestKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const testKey = (kid: string, curve?: string): TestKey => ({
  kid,
  ...(curve ? generateKeyPairSync("ec", { namedCurve: curve }) : generateKeyPairSync("rsa", { modulusLength: 2048 })),
});

export interface TestIssuer {
  readonly url: string;
  /** PEM. */
  readonly authority: string;
  keys: TestKey[];
  /** Paths that were asked for. */
  readonly asked: string[];
  /** Answers instead of the usual, by path; "hang" never does. */
  readonly answers: Map<string, string | "hang">;
  cacheControl: string;
  token(claims: object, key?: TestKey, header?: object): string;
  close(): Promise<void>;
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

export async function startTestIssuer(): Promise<TestIssuer> {
  const now = Date.now();
  const authority = await createAuthority("issuer authority", { now, validDays: 1 });
  const names = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] };
  const pair = await issueCertificate(authority, {
    commonName: "issuer",
    usages: ["server"],
    validDays: 1,
    now,
    ...names,
  });
  const server: Server = createServer({ key: pair.key, cert: pair.certificate }, (request, response) => {
    const path = request.url ?? "";
    issuer.asked.push(path);
    const other = issuer.answers.get(path);
    if (other === "hang") return;
    response.setHeader("content-type", "application/json");
    if (path.endsWith("/jwks")) response.setHeader("cache-control", issuer.cacheControl);
    response.end(other ?? usual(path));
  });
  const usual = (path: string): string =>
    path.endsWith("/jwks")
      ? JSON.stringify({
          keys: issuer.keys.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: "jwk" }), kid, use: "sig" })),
        })
      : JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP port has one
  const issuer: TestIssuer = {
    url: `https://127.0.0.1:${port}`,
    authority: authority.certificate,
    keys: [testKey("one")],
    asked: [],
    answers: new Map(),
    cacheControl: "",
    token(claims, key = issuer.keys[0], header = {}) {
      if (!key) throw new Error("the issuer has no key");
      const { alg, hash, options } = signingOptions(key.privateKey);
      const head = { alg, kid: key.kid, ...header };
      const seconds = Math.floor(Date.now() / 1000);
      const body = { iss: issuer.url, aud: "sampan", sub: "jane", exp: seconds + 600, iat: seconds, ...claims };
      const signed = `${encode(head)}.${encode(body)}`;
      const chosen = algorithms.get(head.alg);
      const padding = chosen?.pss ? { padding: 6, saltLength: -1 } : {};
      return `${signed}.${sign(chosen?.hash ?? hash, Buffer.from(signed), { ...options, ...padding }).toString("base64url")}`;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return issuer;
}
