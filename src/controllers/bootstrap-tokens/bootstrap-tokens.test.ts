import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap, Secret } from "#api";
import { FakeTransport } from "#testing";
import { runController, testNow } from "../lib/fixture.ts";
import { bootstrapSignerController, tokenCleanerController } from "./controller.ts";
import { detachedSignature, signedData, tokenEnd, tokenType } from "./reconcile.ts";

const encode = (data: Record<string, string>) =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")]));
const secret = (id: string, data: Record<string, string> = {}): Secret => ({
  ...{ apiVersion: "v1", kind: "Secret", type: tokenType },
  metadata: { name: `bootstrap-token-${id}`, namespace: "kube-system" },
  data: encode({ "token-id": id, "token-secret": "tokenSecret", "usage-bootstrap-signing": "true", ...data }),
});
const inMinutes = (minutes: number) => new Date(testNow + minutes * 60_000).toISOString();

test("bootstrap tokens: signatures are those that kubeadm checks", () => {
  const text = "Hello from the other side. I must have called a thousand times.";
  const start = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..";
  const key = "my voice is my passcode";
  assert.equal(detachedSignature(text, "joshua", key), `${start}VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8`);
  assert.equal(detachedSignature("", "joshua", key), `${start}7Ui1ALizW4jXphVUB7xUqC9vLYLL9RZeOFfVLoB7Tgk`);
  assert.equal(detachedSignature(text, "joshua", ""), `${start}UfkqvDGiIFxrMnFseDj9LYJOLNrvjW8aHhF71mvvAs8`);
});

test("bootstrap tokens: who signs", () => {
  const data = { kubeconfig: "payload", other: "stays" };
  const signature = detachedSignature("payload", "abc123", "tokenSecret");
  const signed = { ...data, "jws-kubeconfig-abc123": signature };
  const sign = (old: Record<string, string> | undefined, ...secrets: Secret[]) => signedData(old, secrets, testNow);
  assert.deepEqual(sign(data, secret("abc123")), signed);
  assert.equal(sign(signed, secret("abc123")), undefined);
  assert.deepEqual(sign({ ...signed, "jws-kubeconfig-abc123": "old" }, secret("abc123")), signed);
  assert.deepEqual(sign(signed), data);
  assert.equal(sign({ other: "only" }, secret("abc123")), undefined);
  assert.equal(sign(undefined, secret("abc123")), undefined);
  assert.deepEqual(sign(data, secret("abc123", { expiration: inMinutes(1) })), signed);
  const wrong: Record<string, string>[] = [
    { "usage-bootstrap-signing": "false" },
    { "token-id": "other1" },
    { "token-id": "" },
    { "token-secret": "" },
    { expiration: inMinutes(-1) },
    { expiration: "never" },
    { expiration: "2090-01-01" }, // no time of day: upstream doesn't take it for a time
  ];
  for (const change of wrong) assert.deepEqual(sign(signed, secret("abc123", change)), data, JSON.stringify(change));
});

test("bootstrap tokens: when they end", () => {
  assert.equal(tokenEnd(secret("abc123")), Infinity);
  assert.equal(tokenEnd(secret("abc123", { expiration: inMinutes(3) })), testNow + 180_000);
  assert.equal(tokenEnd(secret("abc123", { expiration: "no time" })), 0);
});

test("bootstrap signer: signs as tokens come and go; the cleaner removes those that ended", async () => {
  const transport = new FakeTransport();
  const at = (resource: string, namespace: string) => `/api/v1/namespaces/${namespace}/${resource}`;
  transport.create(at("configmaps", "kube-public"), {
    ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "cluster-info", namespace: "kube-public" } },
    data: { kubeconfig: "payload" },
  } as ConfigMap);
  const keys = () =>
    Object.keys((transport.objects.get(`${at("configmaps", "kube-public")}/cluster-info`) as ConfigMap).data ?? {});
  const signer = runController(bootstrapSignerController, transport);
  const cleaner = runController(tokenCleanerController, transport);
  transport.create(at("secrets", "kube-system"), secret("abc123", { expiration: inMinutes(5) }));
  await signer.until(() => keys().length === 2);
  cleaner.clock.advance(299_000);
  assert.ok(transport.objects.has(`${at("secrets", "kube-system")}/bootstrap-token-abc123`));
  cleaner.clock.advance(2_000);
  await signer.until(() => keys().length === 1);
  await signer.stop();
  await cleaner.stop();
});
