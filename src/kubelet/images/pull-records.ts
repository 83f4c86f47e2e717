/**
 * Who may use an image that is here already: those who pulled it, with what they pulled it (upstream's image pull manager). A pod that names
 * an image which somebody else's password brought here has to show a password of its own to the registry first.
 *
 * Records are files in upstream's place and form, all read once and then kept in memory: a pod whose image was never pulled by this
 * node costs no look at the disk.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Logger } from "#base";
import { jsonEqual } from "#machinery";
import { withoutTag } from "../core/image-reference.ts";
import type { SourceObject, TrackedCredential } from "./keyring.ts";

export type VerificationPolicy =
  | "NeverVerify"
  | "NeverVerifyPreloadedImages"
  | "NeverVerifyAllowlistedImages"
  | "AlwaysVerify";

interface RecordedSecret extends SourceObject {
  readonly credentialHash: string;
}

interface RecordedCredentials {
  readonly kubernetesSecrets?: readonly RecordedSecret[];
  readonly kubernetesServiceAccounts?: readonly SourceObject[];
  readonly nodePodsAccessible?: boolean;
}

interface PulledRecord {
  readonly lastUpdatedTime: string;
  readonly imageRef: string;
  /** By the image as pods name it, without tag and digest. */
  readonly credentialMapping: Readonly<Record<string, RecordedCredentials>>;
}

export interface PullRecords {
  /** Whether a pod must ask the registry although the image is here. */
  mustPull(image: string, imageRef: string, credentials: () => Promise<readonly TrackedCredential[]>): Promise<boolean>;
  /** Written before a pull: the node may die in the middle of it. */
  begin(image: string): Promise<void>;
  /** Undefined as credential: none was needed, or it is the node's. */
  pulled(image: string, imageRef: string, credential: TrackedCredential | undefined): Promise<void>;
  failed(image: string): Promise<void>;
  /** Forgets images that are gone, except those that were pulled since. */
  prune(images: readonly string[], since: number): Promise<void>;
}

export interface PullRecordOptions {
  /** `image_manager` of the node's folder. */
  readonly folder: string;
  readonly policy: VerificationPolicy;
  readonly allowlist: readonly string[];
  /** What the runtime has, for pulls that a dead node began. */
  images(): Promise<readonly { id: string; repoTags: readonly string[]; repoDigests: readonly string[] }[]>;
  readonly clock: Clock;
  readonly log: Logger;
}

const apiVersion = "kubelet.config.k8s.io/v1beta1";
/** Of one image; more passwords than these aren't learnt by looking. */
const learntMax = 100;

export function createPullRecords({ folder, policy, allowlist, images, clock, log }: PullRecordOptions): PullRecords {
  const intents = new Map<string, number>();
  const records = new Map<string, PulledRecord>();
  const needsCheck = verification(policy, allowlist);
  let loading: Promise<void> | undefined;
  /** One write after the other: they change the same files. */
  let writing: Promise<unknown> = Promise.resolve();

  const fileOf = (kind: "pulling" | "pulled", key: string) =>
    join(folder, kind, `sha256-${createHash("sha256").update(key).digest("hex")}`);

  async function write(kind: "pulling" | "pulled", key: string, value: object): Promise<void> {
    const path = fileOf(kind, key);
    await mkdir(join(folder, kind), { recursive: true, mode: 0o700 });
    await writeFile(`${path}.tmp`, JSON.stringify(value), { mode: 0o600 });
    await rename(`${path}.tmp`, path);
  }

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = writing.then(work);
    writing = mine.catch(() => undefined);
    return mine;
  };

  async function load(): Promise<void> {
    for (const value of await readFolder(join(folder, "pulled"))) {
      const record = value as PulledRecord; // its own file
      records.set(record.imageRef, { ...record, credentialMapping: record.credentialMapping ?? {} });
    }
    const begun = (await readFolder(join(folder, "pulling"))).map((value) => (value as { image: string }).image);
    for (const image of begun) intents.set(image, 0);
    if (begun.length === 0) return;
    for (const { id, repoTags, repoDigests } of await images())
      for (const image of [...repoTags, ...repoDigests].filter((name) => intents.has(name))) {
        await note(image, id, undefined);
        await end(image);
      }
  }

  async function readFolder(path: string): Promise<unknown[]> {
    const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const found: unknown[] = [];
    for (const name of names.filter((one) => /^sha256-[0-9a-f]+$/.test(one)))
      try {
        found.push(JSON.parse(await readFile(join(path, name), "utf8")));
      } catch (error) {
        log.error("a record of image pulls can't be read", { path: join(path, name), error });
      }
    return found;
  }

  /** Undefined as `credentials`: nobody knows who pulled it, so everybody has to show a password. */
  async function note(image: string, imageRef: string, credentials: RecordedCredentials | undefined): Promise<void> {
    const name = withoutTag(image);
    const old = records.get(imageRef);
    const before = old?.credentialMapping[name];
    const merged = credentials && merge(before, credentials);
    if (old && (!merged || jsonEqual(before, merged))) return;
    const record: PulledRecord = {
      lastUpdatedTime: new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z"),
      imageRef,
      credentialMapping: { ...old?.credentialMapping, ...(merged && { [name]: merged }) },
    };
    records.set(imageRef, record);
    await write("pulled", imageRef, { kind: "ImagePulledRecord", apiVersion, ...record });
  }

  async function end(image: string): Promise<void> {
    const count = intents.get(image) ?? 0;
    if (count > 1) return void intents.set(image, count - 1);
    intents.delete(image);
    await rm(fileOf("pulling", image), { force: true });
  }

  const loaded = () =>
    (loading ??= load().catch((error: unknown) =>
      log.error("records of image pulls can't be read", { folder, error }),
    ));

  return {
    async mustPull(image, imageRef, credentials) {
      await loaded();
      const record = records.get(imageRef);
      if (!needsCheck(image, record !== undefined || intents.has(image))) return false;
      const known = record?.credentialMapping[withoutTag(image)];
      if (!known) return true;
      if (known.nodePodsAccessible) return false;
      const { kubernetesSecrets: secrets = [], kubernetesServiceAccounts: accounts = [] } = known;
      if (secrets.length === 0 && accounts.length === 0) return true;
      const own = await credentials();
      for (const { source, hash } of own) {
        const secret = source?.secret;
        if (!secret) continue;
        const sameHash = secrets.some(({ credentialHash }) => credentialHash === hash);
        const sameSecret = secrets.some((one) => isSame(one, secret));
        // As upstream: the same password in another Secret, or a Secret whose password changed, are learnt.
        if (!sameHash && !(sameSecret && secrets.length < learntMax)) continue;
        if (!(sameHash && sameSecret) && secrets.length < learntMax)
          await inTurn(() => note(image, imageRef, { kubernetesSecrets: [{ ...secret, credentialHash: hash }] })).catch(
            (error: unknown) => log.error("a record of an image pull can't be written", { image, error }),
          );
        return false;
      }
      const account = own.find(({ source }) => source?.serviceAccount)?.source?.serviceAccount;
      return !(account && accounts.some((one) => isSame(one, account)));
    },
    async begin(image) {
      await loaded();
      intents.set(image, (intents.get(image) ?? 0) + 1);
      await inTurn(() => write("pulling", image, { kind: "ImagePullIntent", apiVersion, image }));
    },
    async pulled(image, imageRef, credential) {
      await inTurn(async () => {
        await note(image, imageRef, credentialsOf(credential));
        await end(image);
      }).catch((error: unknown) => log.error("a record of an image pull can't be written", { image, error }));
    },
    async failed(image) {
      await inTurn(() => end(image)).catch((error: unknown) =>
        log.error("a record of an image pull can't be removed", { image, error }),
      );
    },
    async prune(left, since) {
      await loaded();
      const here = new Set(left);
      await inTurn(async () => {
        for (const { imageRef, lastUpdatedTime } of [...records.values()]) {
          if (here.has(imageRef) || Date.parse(lastUpdatedTime) >= since) continue;
          records.delete(imageRef);
          await rm(fileOf("pulled", imageRef), { force: true });
        }
      });
    },
  };
}

const isSame = (a: SourceObject, b: SourceObject | undefined): boolean =>
  a.uid === b?.uid && a.namespace === b.namespace && a.name === b.name;

function credentialsOf(credential: TrackedCredential | undefined): RecordedCredentials {
  const { secret, serviceAccount } = credential?.source ?? {};
  if (credential && secret) return { kubernetesSecrets: [{ ...secret, credentialHash: credential.hash }] };
  return serviceAccount ? { kubernetesServiceAccounts: [serviceAccount] } : { nodePodsAccessible: true };
}

function merge(old: RecordedCredentials | undefined, more: RecordedCredentials): RecordedCredentials {
  if (old?.nodePodsAccessible) return old;
  if (!old || more.nodePodsAccessible) return more;
  const add = <T extends SourceObject>(key: "kubernetesSecrets" | "kubernetesServiceAccounts") => {
    const [before, after] = [old[key] ?? [], more[key] ?? []] as (readonly T[])[]; // both lists are of the key's type
    const kept = (before ?? []).filter((one) => !after?.some((other) => isSame(one, other)));
    const all = [...kept, ...(after ?? [])].sort((a, b) => (order(a) < order(b) ? -1 : 1));
    return all.length > 0 ? { [key]: all } : {};
  };
  return { ...add("kubernetesSecrets"), ...add("kubernetesServiceAccounts") };
}

const order = ({ namespace, name, uid }: SourceObject): string => [namespace, name, uid].join("\0");

/** Whether a password has to be shown for an image that is here. Throws with upstream's text when a pattern is wrong. */
export function verification(
  policy: VerificationPolicy,
  allowlist: readonly string[],
): (image: string, pulledByKubelet: boolean) => boolean {
  if (policy === "NeverVerify") return () => false;
  if (policy === "NeverVerifyPreloadedImages") return (_, pulledByKubelet) => pulledByKubelet;
  if (policy === "AlwaysVerify") return () => true;
  const patterns = allowlist.map(checkedPattern);
  return (image) => {
    const name = withoutTag(image);
    return !patterns.some((one) => (one.endsWith("/") ? name.startsWith(one) : name === one));
  };
}

/** `registry/path`, or `registry/path/` for everything below. */
function checkedPattern(pattern: string): string {
  const fail = (why: string) => new Error(`${why}: ${pattern}`);
  if (pattern !== pattern.trim()) throw fail("leading/trailing spaces are not allowed");
  const prefix = pattern.endsWith("/*") ? pattern.slice(0, -1) : undefined;
  if ((prefix ?? pattern) === "") throw fail("the supplied pattern is too short");
  if ((prefix ?? pattern).includes("*"))
    throw fail("not a valid wildcard pattern, only patterns ending with '/*' are allowed");
  if (prefix === "/") throw new Error("at least registry hostname is required");
  if (prefix !== undefined) return prefix;
  let name: string;
  try {
    name = withoutTag(pattern);
  } catch {
    throw new Error("failed to parse as an image name: invalid reference format");
  }
  if (name !== pattern) throw fail("neither tag nor digest is accepted in an image reference");
  return pattern;
}
