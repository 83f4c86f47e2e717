/** KMS version 2: the provider with a clock that stands still, and a server with a real plugin on a socket. */
import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { FakeClock, realClock, silentLogger } from "#base";
import { openSqliteStore } from "#store";
import { startTestServer } from "../test-server.ts";
import { parseEncryptionConfiguration } from "./configuration.ts";
import { encryptedStore } from "./encrypted-store.ts";
import { Encryption } from "./encryption.ts";
import { openKms } from "./kms.ts";
import type { KmsClient } from "./kms-client.ts";
import { kmsCodec, kmsMethods } from "./kms-messages.ts";

/** A plugin that really encrypts, under a key for each of its key ids. */
class Plugin {
  keyId = "key-1";
  healthz = "ok";
  down = false;
  decrypted = 0;
  readonly #keys = new Map<string, Buffer>();

  #key(id: string): Buffer {
    const key = this.#keys.get(id) ?? randomBytes(32);
    this.#keys.set(id, key);
    return key;
  }

  status() {
    return { version: "v2", healthz: this.healthz, keyId: this.keyId };
  }

  encrypt(plaintext: Buffer) {
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key(this.keyId), iv);
    const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    const ciphertext = Buffer.concat([iv, cipher.getAuthTag(), body]);
    return { ciphertext, keyId: this.keyId, annotations: { "version.plugin.test": Buffer.from([1]) } };
  }

  decrypt({ ciphertext: bytes, keyId }: { ciphertext: Buffer; keyId: string }): Buffer {
    this.decrypted++;
    const decipher = createDecipheriv("aes-256-gcm", this.#key(keyId), bytes.subarray(0, 12));
    decipher.setAuthTag(bytes.subarray(12, 28));
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]);
  }

  client(): KmsClient {
    const up = <T>(work: () => T) => {
      if (this.down) throw new Error("rpc error: code = Unavailable desc = gone");
      return work();
    };
    return {
      status: async () => up(() => this.status()),
      encrypt: async (plaintext) => up(() => this.encrypt(plaintext)),
      decrypt: async (request) => up(() => this.decrypt(request)),
      close: () => undefined,
    };
  }
}

const at = "/registry/secrets/default/a";
const hush = Buffer.from("hush");

test("kms: the plugin is asked once for a key, and again only for what others wrote", async () => {
  const clock = new FakeClock();
  const plugin = new Plugin();
  const opened = () => openKms({ name: "p" }, { client: plugin.client(), clock, log: silentLogger });
  const mine = await opened();
  const stored = mine.transformer.toStorage(hush, at);
  assert.ok(!stored.includes("hush"));
  assert.equal(mine.transformer.prepare?.(stored), undefined, "the key is here");
  assert.deepEqual(mine.transformer.fromStorage(stored, at), { value: hush, stale: false });
  const other = await opened();
  assert.throws(() => other.transformer.fromStorage(stored, at), /^Error: failed to decrypt DEK/);
  await other.transformer.prepare?.(stored);
  assert.deepEqual(other.transformer.fromStorage(stored, at), { value: hush, stale: false });
  assert.equal(other.transformer.prepare?.(other.transformer.toStorage(hush, "/else")), undefined);
  assert.equal(plugin.decrypted, 1);
  assert.throws(() => mine.transformer.fromStorage(stored, "/registry/secrets/default/b"), /authentication failed/);
  mine.close();
  other.close();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("kms: another key of the plugin makes what is there stale; without the plugin nothing is written for long", async () => {
  const clock = new FakeClock();
  const plugin = new Plugin();
  const { transformer, check, close } = await openKms(
    { name: "p" },
    { client: plugin.client(), clock, log: silentLogger },
  );
  const stored = transformer.toStorage(hush, at);
  plugin.keyId = "key-2";
  clock.advance(60_000);
  await turn();
  assert.deepEqual(transformer.fromStorage(stored, at), { value: hush, stale: true });
  assert.equal(transformer.fromStorage(transformer.toStorage(hush, at), at).stale, false);
  plugin.down = true;
  assert.equal(await check(), undefined, "what it said a moment ago counts");
  clock.advance(60_000);
  await turn();
  assert.match(
    (await check()) ?? "",
    /^failed to perform status section of the healthz check for KMS Provider p, error: rpc/,
  );
  transformer.toStorage(hush, at);
  clock.advance(3 * 60_000);
  assert.throws(
    () => transformer.toStorage(hush, at),
    /^Error: encryptedDEKSource with keyID hash "sha256:[0-9a-f]{64}" expired at 20/,
  );
  plugin.down = false;
  plugin.healthz = "limping";
  clock.advance(10_000);
  await turn();
  clock.advance(3_000);
  assert.equal(await check(), "kmsv2 Provider p is not healthy, error: got unexpected healthz status: limping");
  close();
});

test("kms: a plugin that isn't there yet doesn't keep the server from starting", async () => {
  const clock = new FakeClock();
  const plugin = new Plugin();
  plugin.down = true;
  const { transformer, close } = await openKms({ name: "p" }, { client: plugin.client(), clock, log: silentLogger });
  assert.throws(() => transformer.toStorage(hush, at), { message: "got unexpected nil transformer" });
  plugin.down = false;
  clock.advance(10_000);
  await turn();
  assert.equal(transformer.fromStorage(transformer.toStorage(hush, at), at).value.toString(), "hush");
  close();
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** The plugin as a process of its own would be. */
async function listen(plugin: Plugin, socket: string): Promise<void> {
  const server = new Server();
  const method = (name: keyof typeof kmsMethods) => ({
    path: `/v2.KeyManagementService/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: (value: object) => kmsCodec.encode(kmsMethods[name][0], value),
    requestDeserialize: (bytes: Buffer) => kmsCodec.decode(kmsMethods[name][0], bytes),
    responseSerialize: (value: object) => kmsCodec.encode(kmsMethods[name][1], value),
    responseDeserialize: (bytes: Buffer) => kmsCodec.decode(kmsMethods[name][1], bytes),
  });
  server.addService(
    { Status: method("Status"), Encrypt: method("Encrypt"), Decrypt: method("Decrypt") },
    {
      Status: (_call: unknown, done: (error: null, value: object) => void) => done(null, plugin.status()),
      Encrypt: ({ request }: { request: { plaintext: Buffer } }, done: (error: null, value: object) => void) =>
        done(null, plugin.encrypt(request.plaintext)),
      Decrypt: (
        { request }: { request: { ciphertext: Buffer; keyId: string } },
        done: (error: null, value: object) => void,
      ) => done(null, { plaintext: plugin.decrypt(request) }),
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  cleanups.push(() => server.forceShutdown());
}

test("kms: a server with a plugin on a socket, before and after a restart", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "kms-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  const socket = path.join(folder, "kms.sock");
  const plugin = new Plugin();
  await listen(plugin, socket);
  const configuration = await parseEncryptionConfiguration(
    `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms: {apiVersion: v2, name: myplugin, endpoint: 'unix://${socket}'}
`,
    { reload: false },
  );
  const serve = async () => {
    const store = await openSqliteStore({ path: path.join(folder, "state.db"), clock: realClock });
    const encryption = await Encryption.open({ configuration, clock: realClock, log: silentLogger });
    const api = await startTestServer({ store: encryptedStore(store, encryption) });
    let open = true;
    const stop = async () => {
      if (open) {
        open = false;
        await api.close();
        encryption.close();
      }
    };
    cleanups.push(stop);
    return { api, store, encryption, stop };
  };
  const secrets = "/api/v1/namespaces/default/secrets";
  const first = await serve();
  assert.equal(await first.encryption.check(), undefined);
  await first.api.call("POST", secrets, { metadata: { name: "a" }, stringData: { x: "hush" } });
  const { items } = await first.store.range({ start: at });
  assert.match(Buffer.from(items[0]?.value ?? []).toString("latin1"), /^k8s:enc:kms:v2:myplugin:/);
  await first.stop();
  const second = await serve();
  const { data } = await second.api.call("GET", `${secrets}/a`);
  assert.equal(Buffer.from(data.x ?? "", "base64").toString(), "hush");
});
