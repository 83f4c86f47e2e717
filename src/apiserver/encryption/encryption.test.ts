/** Encryption at rest: the providers against known layouts, and a server whose disk is looked at. */
import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { type Clock, realClock, silentLogger } from "#base";
import { isStatusError } from "#machinery";
import { openSqliteStore, type Store } from "#store";
import { configMap, configMaps, startTestServer, type TestServer } from "../test-server.ts";
import { cbc, extendedNonceGcm, gcm } from "./aes.ts";
import { parseEncryptionConfiguration } from "./configuration.ts";
import { encryptedStore } from "./encrypted-store.ts";
import { Encryption } from "./encryption.ts";
import { secretbox } from "./secretbox.ts";
import type { Transformer } from "./transformer.ts";

const ones = Buffer.alloc(32, 1);

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";
const key = (byte: number, bytes = 32) => Buffer.alloc(bytes, byte).toString("base64");
const config = (resources: string, ...providers: string[]) =>
  `${head}resources:\n- resources: [${resources}]\n  providers:\n${providers.map((each) => `  - ${each}\n`).join("")}`;
const gcmWith = (...keys: [name: string, byte: number][]) =>
  `aesgcm: {keys: [${keys.map(([name, byte]) => `{name: ${name}, secret: ${key(byte)}}`).join(", ")}]}`;
const identity = "identity: {}";

async function open(text: string): Promise<Encryption> {
  const configuration = await parseEncryptionConfiguration(text, { reload: false });
  return Encryption.open({ configuration, clock: realClock, log: silentLogger });
}

test("encryption: every provider writes upstream's prefix and reads back what it wrote", async () => {
  for (const [provider, prefix] of [
    [gcmWith(["key1", 1]), "k8s:enc:aesgcm:v1:key1:"],
    [`aesgcm: {keys: [{name: k, secret: ${key(2, 16)}}]}`, "k8s:enc:aesgcm:v1:k:"],
    [`aescbc: {keys: [{name: key1, secret: ${key(1)}}]}`, "k8s:enc:aescbc:v1:key1:"],
    [`secretbox: {keys: [{name: key1, secret: ${key(1)}}]}`, "k8s:enc:secretbox:v1:key1:"],
    [identity, ""],
  ] as const) {
    const transformer = (await open(config("secrets", provider))).of("/registry/secrets/");
    const at = "/registry/secrets/default/a";
    for (const text of ["", "x", "x".repeat(16), "hush".repeat(1_000)]) {
      const stored = transformer.toStorage(Buffer.from(text), at);
      assert.ok(stored.toString("latin1").startsWith(prefix), provider);
      if (prefix !== "" && text.length > 1) assert.ok(!stored.includes(text));
      const { value, stale } = transformer.fromStorage(stored, at);
      assert.deepEqual([value.toString(), stale], [text, false]);
    }
  }
});

test("encryption: AES-GCM is laid out as upstream's, with the key of the store as authenticated data", async () => {
  const transformer = (await open(config("secrets", gcmWith(["key1", 7])))).of("/registry/secrets/");
  const at = "/registry/secrets/default/a";
  const stored = transformer.toStorage(Buffer.from("hush"), at).subarray("k8s:enc:aesgcm:v1:key1:".length);
  const decipher = createDecipheriv("aes-256-gcm", Buffer.alloc(32, 7), stored.subarray(0, 12));
  decipher.setAAD(Buffer.from(at)).setAuthTag(stored.subarray(-16));
  assert.equal(decipher.update(stored.subarray(12, -16)).toString() + decipher.final().toString(), "hush");
  const whole = transformer.toStorage(Buffer.from("hush"), at);
  assert.throws(() => transformer.fromStorage(whole, "/registry/secrets/default/b"), {
    message: "cipher: message authentication failed",
  });
});

/** `hush` as upstream's own code (k8s.io/apiserver 0.36.3) wrote it: a key of 32 ones, the store's key `/registry/secrets/default/a`. */
const upstreams: readonly [name: string, transformer: Transformer, stored: string][] = [
  ["AES-GCM", gcm(ones), "wU6UxLkcvv8O1OqpLvUftoAh+o3Pagb2Eke8jLszccg="],
  ["AES-CBC", cbc(ones), "ijAOXt4mmUFhtVAnbWGQh+udA5f/soBwFmgQmcEu1q4="],
  ["secretbox", secretbox(ones), "wdgeZgyzGn5d1fG9a9cnoju+X/NOZPGwu5EhRlsVmBM8PqgFKAY8BH769D4="],
  [
    "AES-GCM under a derived key",
    extendedNonceGcm(ones),
    "QJlr8Mb1VFKyVDgmKzhnj20EmIgOCIWlvFjymNw5yk+0DWtJBvomO0/So+fRtoJ4R8NhXl9MKN8LKar/K0ny0A==",
  ],
];

test("encryption: what upstream has written is read", () => {
  for (const [name, transformer, stored] of upstreams) {
    const { value } = transformer.fromStorage(Buffer.from(stored, "base64"), "/registry/secrets/default/a");
    assert.equal(value.toString(), "hush", name);
  }
});

test("encryption: resources by name, by group and all", async () => {
  const text = `${head}resources:
- {resources: [secrets], providers: [{${gcmWith(["s", 1])}}]}
- {resources: ['*.apps'], providers: [{${gcmWith(["a", 1])}}]}
- {resources: ['*.'], providers: [{${gcmWith(["core", 1])}}]}
- {resources: ['*.*'], providers: [{${gcmWith(["all", 1])}}]}
`;
  const encryption = await open(text);
  const nameFor = (prefix: string) =>
    encryption.of(prefix).toStorage(Buffer.from("x"), "k").toString("latin1").split(":")[4]?.slice(0, 4);
  assert.equal(nameFor("/registry/secrets/"), "s");
  assert.equal(nameFor("/registry/configmaps/"), "core");
  assert.equal(nameFor("/registry/apps/deployments/"), "a");
  assert.equal(nameFor("/registry/networking.k8s.io/ingresses/"), "all");
  assert.equal(encryption.of("/registry/nodeports/").toStorage(Buffer.from("x"), "k").toString(), "x", "no object");
});

test("encryption: mistakes are told in upstream's words", async () => {
  const overlap =
    "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked";
  const cases: [text: string, message: string | RegExp][] = [
    ["", "encryption provider configuration file is empty"],
    [`${head}resources: []\n`, "resources: Required value: at least one resources is required"],
    [
      `${head}resources: [{resources: [], providers: []}]\n`,
      "[resources[0].resources: Required value: at least one resources[0].resources is required, resources[0].providers: Required value: at least one resources[0].providers is required]",
    ],
    [config("Secrets", identity), /resource name should not contain capital letters$/],
    [
      config("'*'", identity),
      /use '\*\.' to encrypt all the resources from core API group or \*\.\* to encrypt all resources$/,
    ],
    [config("serviceipallocations", identity), /resources which do not have REST API\/s cannot be encrypted$/],
    [config("events.events.k8s.io", identity), /Use 'events' instead in the config file$/],
    [
      config("ingresses.extensions", identity),
      /'extensions' group has been removed and cannot be used for encryption$/,
    ],
    [config("'deployments.*'", identity), /encrypting the same resource across groups is not supported$/],
    [config("secrets, secrets", identity), /the same resource cannot be specified multiple times$/],
    [config("secrets, '*.'", identity), new RegExp(`${overlap.replace(/[*.]/g, "\\$&")}$`)],
    [
      config("secrets", "{}"),
      /^resources\[0\]\.providers\[0\]: Invalid value: .*provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity$/,
    ],
    [config("secrets", `{identity: {}, ${gcmWith(["a", 1])}}`), /more than one provider specified in a single element/],
    [config("secrets", "aesgcm: {keys: []}"), /keys: Required value: at least one keys is required$/],
    [
      config("secrets", "aesgcm: {keys: [{name: '', secret: ''}]}"),
      "[resources[0].providers[0].aesgcm.keys[0].name: Required value: name is a mandatory field for a key, resources[0].providers[0].aesgcm.keys[0].secret: Required value: secret is a mandatory field for a key]",
    ],
    [
      config("secrets", "aesgcm: {keys: [{name: a, secret: '%%'}]}"),
      'resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secrets must be base64 encoded',
    ],
    [
      config("secrets", `secretbox: {keys: [{name: a, secret: ${key(1, 16)}}]}`),
      'resources[0].providers[0].secretbox.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, got 16, expected one of [32]',
    ],
    [config("secrets", "kms: {apiVersion: v2, name: a}"), /endpoint is a mandatory field for a kms$/],
    [
      config("secrets", "kms: {apiVersion: v2, name: a, endpoint: 'tcp://x'}"),
      /unsupported scheme "tcp" for KMS provider, only unix is supported$/,
    ],
    [
      config("secrets", "kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///x', cachesize: 1, timeout: 0s}"),
      /invalid KMS provider name a:b, must not contain ':'.*timeout should be a positive value.*cachesize is not supported in v2/,
    ],
    [`${config("secrets", identity)}color: red\n`, 'strict decoding error: unknown field "color"'],
  ];
  for (const [text, message] of cases)
    await assert.rejects(parseEncryptionConfiguration(text, { reload: false }), { message }, text);
  await assert.rejects(open(`${config("'*.'", identity)}- resources: [secrets]\n  providers:\n  - ${identity}\n`), {
    message: 'resource "secrets" is masked by earlier rule "*."',
  });
  await assert.rejects(open(config("secrets", "kms: {name: a, endpoint: 'unix:///x'}")), /^Error: KMSv1 is deprecated/);
});

let folder = "";
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "encryption-"));
});
after(() => rm(folder, { recursive: true }));
const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

let shiftMs = 0;
const clock: Clock = { ...realClock, now: () => Date.now() + shiftMs };

/** A server on the same file each time. */
async function serve(name: string, text: string | undefined) {
  const file = path.join(folder, name, "state.db");
  const inner: Store = await openSqliteStore({ path: file, clock: realClock });
  const encryption = text === undefined ? undefined : await open(text);
  const api = await startTestServer({ clock, store: encryption ? encryptedStore(inner, encryption) : inner });
  servers.push(api);
  return { api, inner, encryption };
}

const stop = async () => {
  await servers.pop()?.close();
};

const secrets = "/api/v1/namespaces/default/secrets";
const secret = (name: string, text: string) => ({
  metadata: { name },
  data: { password: Buffer.from(text).toString("base64") },
});
const stored = async (store: Store, name: string) => {
  const { items } = await store.range({ start: `/registry/secrets/default/${name}` });
  return Buffer.from(items[0]?.value ?? []).toString("latin1");
};

async function onDisk(name: string): Promise<string> {
  const at = path.join(folder, name);
  const files = await Promise.all((await readdir(at)).map((file) => readFile(path.join(at, file), "latin1")));
  return files.join("");
}

async function refusal(work: Promise<unknown>): Promise<[number, string]> {
  try {
    await work;
  } catch (error) {
    if (isStatusError(error)) return [error.status.code ?? 0, error.message];
    throw error;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}

test("encryption: the disk has ciphertext only, of what is configured; clients see objects", async () => {
  const { api, inner } = await serve("disk", config("secrets", gcmWith(["key1", 1])));
  const seen: string[] = [];
  const end = new AbortController();
  const watching = api.transport.watch({ method: "GET", path: secrets, signal: end.signal }, ({ type, object }) =>
    seen.push(`${type} ${(object as { metadata: { name: string } }).metadata.name}`),
  );
  await api.call("POST", secrets, secret("a", "Hush-Hush-1"));
  await api.call("PATCH", `${secrets}/a`, { stringData: { other: "Hush-Hush-2" } }, mergePatch);
  await api.call("POST", configMaps, configMap("plain", { x: "Open-Secret" }));
  assert.equal((await api.call("GET", secrets)).items.length, 1);
  assert.deepEqual(Object.keys((await api.call("GET", `${secrets}/a`)).data).sort(), ["other", "password"]);
  assert.match(await stored(inner, "a"), /^k8s:enc:aesgcm:v1:key1:/);
  end.abort();
  await watching;
  assert.deepEqual(seen, ["ADDED a", "MODIFIED a"]);
  await stop();
  const bytes = await onDisk("disk");
  for (const text of ["Hush-Hush-1", "Hush-Hush-2", "SHVzaC1IdXNo"]) assert.ok(!bytes.includes(text), text);
  assert.ok(bytes.includes("Open-Secret"), "the search finds what is there");
});

const mergePatch = { contentType: "application/merge-patch+json" };

test("encryption: old keys are read, the first one writes; an update that changes nothing brings a value up to date", async () => {
  const first = await serve("rotate", undefined);
  await first.api.call("POST", secrets, secret("a", "one"));
  await stop();

  const second = await serve("rotate", config("secrets", gcmWith(["key1", 1]), identity));
  const plain = await second.api.call("GET", `${secrets}/a`);
  assert.match(await stored(second.inner, "a"), /^\{/, "reading changes nothing");
  const written = await second.api.call("PUT", `${secrets}/a`, plain);
  assert.match(await stored(second.inner, "a"), /^k8s:enc:aesgcm:v1:key1:/);
  assert.notEqual(written.metadata.resourceVersion, plain.metadata.resourceVersion);
  const again = await second.api.call("PUT", `${secrets}/a`, written);
  assert.equal(again.metadata.resourceVersion, written.metadata.resourceVersion, "it is up to date");
  await stop();

  const third = await serve("rotate", config("secrets", gcmWith(["key2", 2], ["key1", 1])));
  const { items } = await third.api.call("GET", secrets);
  assert.equal(items[0]?.data.password, Buffer.from("one").toString("base64"));
  await third.api.call("PATCH", `${secrets}/a`, {}, mergePatch);
  assert.match(await stored(third.inner, "a"), /^k8s:enc:aesgcm:v1:key2:/);
  await stop();

  const fourth = await serve("rotate", config("secrets", identity, gcmWith(["key2", 2])));
  const { metadata } = await fourth.api.call("GET", `${secrets}/a`);
  const { uid, resourceVersion } = metadata;
  // As the storage version migrator does it.
  const same = { apiVersion: "v1", kind: "Secret", metadata: { uid, resourceVersion } };
  const apply = { contentType: "application/apply-patch+yaml", query: { fieldManager: "migrator" } };
  const migrated = await fourth.api.call("PATCH", `${secrets}/a`, same, apply);
  assert.match(await stored(fourth.inner, "a"), /^\{/, "back to no encryption");
  assert.notEqual(migrated.metadata.resourceVersion, resourceVersion);
  assert.deepEqual({ ...migrated.metadata, resourceVersion }, metadata, "no owner is added");
});

test("encryption: what can't be opened is an error of its own, and the rest goes on", async () => {
  const first = await serve("lost", config("secrets", gcmWith(["key1", 1])));
  await first.api.call("POST", secrets, secret("a", "one"));
  await stop();

  const other = await serve("lost", config("secrets", gcmWith(["key2", 2])));
  const wrongKey = "no matching key was found for the provided AES transformer";
  await other.api.call("POST", secrets, secret("b", "two"));
  assert.deepEqual(await refusal(other.api.call("GET", `${secrets}/a`)), [500, `Internal error occurred: ${wrongKey}`]);
  assert.deepEqual(await refusal(other.api.call("DELETE", `${secrets}/a`)), [
    500,
    `Internal error occurred: ${wrongKey}`,
  ]);
  assert.deepEqual(await refusal(other.api.call("GET", secrets, undefined, { query: { limit: 500 } })), [
    500,
    `Internal error occurred: unable to transform key "/registry/secrets/default/a": ${wrongKey}`,
  ]);
  assert.equal((await refusal(other.api.call("GET", secrets)))[0], 429, "as of a cache that never gets ready");
  assert.ok((await other.api.call("GET", `${secrets}/b`)).data.password);
  await other.api.call("POST", configMaps, configMap("fine"));
  await stop();

  const none = await serve("lost", undefined);
  assert.deepEqual(await refusal(none.api.call("GET", `${secrets}/a`)), [
    500,
    "Internal error occurred: identity transformer tried to read encrypted data",
  ]);
});

test("encryption: keys are exchanged while the server runs; what became readable is found again", async () => {
  const first = await serve("reload", config("secrets", gcmWith(["key1", 1])));
  await first.api.call("POST", secrets, secret("a", "one"));
  await stop();
  const { api, inner, encryption } = await serve("reload", config("secrets", gcmWith(["key2", 2])));
  assert.equal((await refusal(api.call("GET", `${secrets}/a`)))[0], 500);
  await encryption?.reload(config("secrets", gcmWith(["key2", 2], ["key1", 1])));
  shiftMs += 1_000; // so long a kind isn't read again
  const found = await api.call("GET", `${secrets}/a`);
  await api.call("PUT", `${secrets}/a`, found);
  assert.match(await stored(inner, "a"), /^k8s:enc:aesgcm:v1:key2:/);
  await assert.rejects(encryption?.reload(config("Secrets", identity)) ?? Promise.resolve(), /capital letters/);
  await api.call("PUT", `${secrets}/a`, { ...found, metadata: { ...found.metadata, resourceVersion: "" } });
});

test("encryption: a value that comes by as an event and can't be read ends the watches of its kind", async () => {
  const { api, inner } = await serve("event", config("secrets", gcmWith(["key1", 1])));
  await api.call("POST", secrets, secret("a", "one"));
  const watching = api.transport.watch({ method: "GET", path: secrets }, () => undefined);
  await inner.transact({
    compare: [],
    operations: [
      { type: "put", key: "/registry/secrets/default/bad", value: Buffer.from("k8s:enc:aesgcm:v1:key1:xx") },
    ],
  });
  await watching;
  assert.deepEqual(await refusal(api.call("GET", `${secrets}/bad`)), [
    500,
    "Internal error occurred: the stored data was shorter than the required size",
  ]);
  await inner.transact({ compare: [], operations: [{ type: "delete", key: "/registry/secrets/default/bad" }] });
  assert.equal((await refusal(api.call("GET", `${secrets}/bad`)))[0], 404);
  assert.equal((await api.call("GET", secrets)).items.length, 1, "the kind is well again");
});
