/**
 * Envelope encryption by a KMS plugin, version 2: values are encrypted under a seed of this process, the seed by the plugin, and the store
 * keeps both next to each other. The plugin is asked once for its key and once for each foreign seed, not for each value. When the plugin
 * says that its key is another one, a new seed is made; what the old one wrote is stale from then on.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Clock, Logger } from "#base";
import { isDns1123Subdomain } from "#machinery";
import { extendedNonceGcm, gcm, seedBytes } from "./aes.ts";
import type { KmsConfiguration } from "./configuration.ts";
import type { KmsClient } from "./kms-client.ts";
import { decodeEncryptedObject, encodeEncryptedObject, type EncryptedObject, sourceType } from "./kms-messages.ts";
import type { Transformer } from "./transformer.ts";

/** A healthy plugin is asked this often, another one that often. */
const healthyProbeMs = 60_000;
const unhealthyProbeMs = 10_000;
/** A seed may write for so long after the plugin was last seen well. */
const writeMsMax = 3 * 60_000;
/** Health checks ask the plugin at most this often. */
const healthyAnswerMs = 20_000;
const unhealthyAnswerMs = 3_000;
const keyIdBytesMax = 1_024;
const sourceBytesMax = 1_024;
const annotationsBytesMax = 32 * 1_024;
/** Foreign seeds kept: one for each server that ever wrote, and for each of its restarts. */
const seedsMax = 1_000;

export interface KmsProvider {
  readonly transformer: Transformer;
  /** Undefined: it is well. */
  check(): Promise<string | undefined>;
  close(): void;
}

interface Writer {
  readonly transformer: Transformer;
  /** Without the data. */
  readonly envelope: Omit<EncryptedObject, "encryptedData">;
  expiresAt: number;
}

export interface KmsContext {
  readonly client: KmsClient;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Asks the plugin once before it answers; one that isn't there yet is asked again and again. */
export async function openKms(
  { name }: Pick<KmsConfiguration, "name">,
  { client, clock, log }: KmsContext,
): Promise<KmsProvider> {
  const seeds = new Map<string, Transformer>();
  const fetching = new Map<string, Promise<void>>();
  const failures = new Map<string, string>();
  let writer: Writer | undefined;
  let version = "";
  let last: { readonly problem: string | undefined; readonly at: number } | undefined;
  let probing: Promise<string | undefined> | undefined;
  let cancelProbe: (() => void) | undefined;
  let closed = false;

  const keep = (key: string, transformer: Transformer) => {
    seeds.delete(key);
    seeds.set(key, transformer);
    for (const oldest of seeds.keys()) {
      if (seeds.size <= seedsMax) break;
      seeds.delete(oldest);
    }
  };

  const rotate = async (keyId: string): Promise<void> => {
    const seed = randomBytes(seedBytes);
    const answer = await client.encrypt(seed).catch((error: unknown) => {
      throw new Error(`failed to encrypt DEK, error: ${(error as Error).message}`);
    });
    const envelope = {
      keyID: answer.keyId,
      encryptedDEKSource: answer.ciphertext,
      annotations: answer.annotations,
      encryptedDEKSourceType: sourceType.seed,
    };
    const problem = envelopeProblem(envelope);
    if (problem) throw new Error(problem);
    if (answer.keyId !== keyId)
      throw new Error(`failed to rotate DEK, statusKeyIDHash=${hash(keyId)}, encryptKeyIDHash=${hash(answer.keyId)}`);
    const transformer = extendedNonceGcm(seed);
    writer = { transformer, envelope, expiresAt: clock.now() + writeMsMax };
    keep(seedKey(envelope), transformer);
  };

  const ask = async (): Promise<void> => {
    const status = await client.status().catch((error: unknown) => {
      throw new Error(
        `failed to perform status section of the healthz check for KMS Provider ${name}, error: ${(error as Error).message}`,
      );
    });
    const problems: string[] = [];
    if (status.healthz !== "ok") problems.push(`got unexpected healthz status: ${status.healthz}`);
    if (status.version !== "v2" && status.version !== "v2beta1")
      problems.push(`expected KMSv2 API version v2, got ${status.version}`);
    else {
      version ||= status.version;
      if (version !== status.version)
        problems.push(
          `KMSv2 API version should not change after the initial status response version ${version}, got ${status.version}`,
        );
    }
    const wrongKey = keyIdProblem(status.keyId);
    if (wrongKey) problems.push(`got invalid KMSv2 KeyID hash ${JSON.stringify(hash(status.keyId))}: ${wrongKey}`);
    else if (writer?.envelope.keyID === status.keyId) writer.expiresAt = clock.now() + writeMsMax;
    else await rotate(status.keyId).catch((error: unknown) => problems.push((error as Error).message));
    if (problems.length > 0) {
      const all = problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`;
      throw new Error(`kmsv2 Provider ${name} is not healthy, error: ${all}`);
    }
  };

  const probe = (): Promise<string | undefined> => {
    probing ??= (async () => {
      let problem: string | undefined;
      try {
        await ask();
      } catch (error) {
        problem = (error as Error).message;
        log.error("kms plugin failed health check probe", { name, error });
      }
      last = { problem, at: clock.now() };
      probing = undefined;
      return problem;
    })();
    return probing;
  };

  const schedule = () => {
    if (closed) return;
    cancelProbe = clock.after(last?.problem === undefined ? healthyProbeMs : unhealthyProbeMs, () => {
      void probe().then(schedule);
    });
  };
  await probe();
  schedule();

  const fetchSeed = async (object: EncryptedObject, key: string): Promise<void> => {
    try {
      const secret = await client.decrypt({
        ciphertext: object.encryptedDEKSource,
        keyId: object.keyID,
        annotations: object.annotations,
      });
      keep(key, object.encryptedDEKSourceType === sourceType.seed ? extendedNonceGcm(secret) : gcm(secret));
      failures.delete(key);
    } catch (error) {
      failures.set(key, `failed to decrypt DEK, error: ${(error as Error).message}`);
    }
  };

  return {
    transformer: {
      prepare(data) {
        let object: EncryptedObject;
        try {
          object = open(data);
        } catch {
          return undefined; // said when it is read
        }
        const key = seedKey(object);
        if (seeds.has(key)) return undefined;
        let promise = fetching.get(key);
        if (!promise) {
          promise = fetchSeed(object, key).finally(() => fetching.delete(key));
          fetching.set(key, promise);
        }
        return promise;
      },
      fromStorage(data, storageKey) {
        const object = open(data);
        if (!writer) throw new Error("got unexpected nil transformer");
        const key = seedKey(object);
        const transformer = seeds.get(key);
        if (!transformer) throw new Error(failures.get(key) ?? "failed to decrypt DEK, error: it was not fetched");
        const { value } = transformer.fromStorage(object.encryptedData, storageKey);
        const { keyID, encryptedDEKSourceType } = writer.envelope;
        return {
          value,
          stale: object.keyID !== keyID || object.encryptedDEKSourceType !== encryptedDEKSourceType,
        };
      },
      toStorage(data, storageKey) {
        if (!writer) throw new Error("got unexpected nil transformer");
        if (clock.now() > writer.expiresAt)
          throw new Error(
            `encryptedDEKSource with keyID hash ${JSON.stringify(hash(writer.envelope.keyID))} expired at ${printTime(writer.expiresAt)} (current time is ${printTime(clock.now())})`,
          );
        const encryptedData = writer.transformer.toStorage(data, storageKey);
        return encodeEncryptedObject({ ...writer.envelope, encryptedData });
      },
    },
    async check() {
      const fresh = last && clock.now() - last.at < (last.problem === undefined ? healthyAnswerMs : unhealthyAnswerMs);
      return fresh ? last?.problem : probe();
    },
    close() {
      closed = true;
      cancelProbe?.();
      client.close();
    },
  };
}

const printTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** Throws an Error. */
function open(data: Buffer): EncryptedObject {
  const object = decodeEncryptedObject(data);
  if (object.encryptedData.length === 0) throw new Error("encrypted data is empty");
  const problem = envelopeProblem(object);
  if (problem) throw new Error(problem);
  return object;
}

type Envelope = Omit<EncryptedObject, "encryptedData">;

function envelopeProblem({ keyID, encryptedDEKSource, annotations, encryptedDEKSourceType: type }: Envelope) {
  if (type !== sourceType.key && type !== sourceType.seed) return `unknown encryptedDEKSourceType: ${type}`;
  const sourceBytes = encryptedDEKSource.length;
  const source =
    sourceBytes === 0
      ? "encrypted DEK source is empty"
      : sourceBytes > sourceBytesMax
        ? `encrypted DEK source is ${sourceBytes} bytes, which exceeds the max size of ${sourceBytesMax}`
        : undefined;
  if (source) return `failed to validate encrypted DEK source: ${source}`;
  const key = keyIdProblem(keyID);
  if (key) return `failed to validate key id: ${key}`;
  const notes = annotationsProblem(annotations);
  return notes && `failed to validate annotations: ${notes}`;
}

function keyIdProblem(keyId: string): string | undefined {
  const bytes = Buffer.byteLength(keyId);
  if (bytes === 0) return "keyID is empty";
  return bytes > keyIdBytesMax ? `keyID is ${bytes} bytes, which exceeds the max size of ${keyIdBytesMax}` : undefined;
}

function annotationsProblem(annotations: Readonly<Record<string, Buffer>>): string | undefined {
  let bytes = 0;
  for (const [name, value] of Object.entries(annotations)) {
    const domain = name.replace(/\.$/, "");
    const wrong = isDns1123Subdomain(domain);
    if (wrong.length === 0 && !domain.includes("."))
      wrong.push("should be a domain with at least two segments separated by dots");
    if (wrong.length > 0) return `annotations: Invalid value: ${JSON.stringify(name)}: ${wrong.join(",")}`;
    bytes += Buffer.byteLength(name) + value.length;
  }
  return bytes > annotationsBytesMax
    ? `total size of annotations is ${bytes}, which exceeds the max size of ${annotationsBytesMax}`
    : undefined;
}

const seedKey = ({ encryptedDEKSourceType, encryptedDEKSource, keyID, annotations }: Envelope): string =>
  JSON.stringify([
    encryptedDEKSourceType,
    encryptedDEKSource.toString("base64"),
    keyID,
    Object.entries(annotations)
      .map(([name, value]) => `${name}=${value.toString("base64")}`)
      .sort(),
  ]);

const hash = (text: string): string => (text === "" ? "" : `sha256:${createHash("sha256").update(text).digest("hex")}`);
