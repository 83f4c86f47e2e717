/**
 * Makes sure that a container's image is here, by its pull policy, and that the pod may use it (pull-records.ts). Pulls of the same image
 * with the same credentials are shared, a pull that fails is not tried again before its back-off is over.
 */
import { type Clock, printDuration } from "#base";
import { goQuote } from "#machinery";
import { imageRepository, withDefaultTag } from "../core/image-reference.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { ImageUser } from "../core/users.ts";
import { wording } from "../core/wording.ts";
import { type CriClient, CriError } from "../cri/client.ts";
import type { PodSandboxConfig } from "../cri/types.d.ts";
import type { PluginPod } from "./credential-plugins.ts";
import { lookUp, type PullSecret, ringOfSecrets, type SourcedConfig, type TrackedCredential } from "./keyring.ts";
import { createPullQueue, type PullQueueOptions } from "./pull-queue.ts";
import type { PullRecords } from "./pull-records.ts";

/** Why there is no image: `reason` becomes the container's waiting reason, one of these or an unreadable secret's error. */
export type ImageProblemReason =
  | "ErrImagePull"
  | "ImagePullBackOff"
  | "ErrImageNeverPull"
  | "InvalidImageName"
  | "ImageInspectError"
  | "RegistryUnavailable"
  | "SignatureValidationFailed"
  | (string & {});

export class ImageError extends Error {
  override name = "ImageError";
  readonly reason: ImageProblemReason;
  /** When trying again makes sense; undefined: when something else changes. */
  readonly retryAt: number | undefined;

  constructor(reason: ImageProblemReason, message: string, retryAt?: number) {
    super(message);
    this.reason = reason;
    this.retryAt = retryAt;
  }
}

export interface PresentImage {
  readonly id: string;
  readonly user: ImageUser;
}

export interface EnsureImage {
  readonly pod: PodView;
  readonly container: ContainerSpec;
  readonly secrets: readonly PullSecret[];
  readonly sandbox: PodSandboxConfig;
  readonly signal: AbortSignal;
  event(type: "Normal" | "Warning", reason: string, message: string): void;
}

export interface ImageManager {
  /** Rejects with ImageError. */
  ensure(request: EnsureImage): Promise<PresentImage>;
  /** A pod's back-offs. */
  forget(podUid: string): void;
}

export interface ImageManagerOptions extends PullQueueOptions {
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly records: PullRecords;
  /** Passwords of the node itself: files, and programs that are asked. */
  readonly nodeRing: () => Promise<readonly SourcedConfig[]>;
  readonly pluginRing?: ((image: string, pod: PluginPod) => Promise<readonly SourcedConfig[]>) | undefined;
}

const backoffInitialMs = 10_000;
const backoffMsMax = 300_000;
/** How long a container shows ErrImagePull before it shows ImagePullBackOff. */
const showErrorMs = 5_000;

interface Backoff {
  readonly delayMs: number;
  readonly at: number;
  readonly why: string;
}

type LookUp = () => Promise<readonly TrackedCredential[]>;

interface Pulled {
  readonly imageRef: string;
  readonly credential: TrackedCredential | undefined;
  readonly tookMs: number;
}

export function createImageManager(options: ImageManagerOptions): ImageManager {
  const { cri, clock, records } = options;
  const backoffs = new Map<string, Map<string, Backoff>>();
  const pulls = new Map<string, Promise<Pulled>>();
  const inTurn = createPullQueue(options, clock);

  async function inspect(image: string): Promise<(PresentImage & { bytes: number }) | undefined> {
    const { image: found } = await cri.image.imageStatus({ image: { image } });
    if (!found?.id) return undefined;
    return {
      id: found.id,
      user: { uid: found.uid?.value ?? (found.username ? undefined : 0), name: found.username },
      bytes: found.size,
    };
  }

  async function credentialsFor(image: string, { pod, secrets }: EnsureImage): Promise<TrackedCredential[]> {
    const name = imageRepository(image);
    const { namespace = "", name: podName = "", uid = "" } = pod.metadata;
    const serviceAccount = pod.spec?.serviceAccountName ?? "";
    let ofSecrets: SourcedConfig[];
    try {
      ofSecrets = ringOfSecrets(secrets);
    } catch (error) {
      const { message } = error as Error; // ringOfSecrets throws Errors
      throw new ImageError(message, message, clock.now() + backoffInitialMs);
    }
    const plugins = options.pluginRing?.(name, { namespace, name: podName, uid, serviceAccount });
    const rings = [ofSecrets, await options.nodeRing(), (await plugins) ?? []];
    return rings.flatMap((ring) => lookUp(ring, name));
  }

  /** Tries each credential that fits, or none; rejects with what the registry said. */
  async function pull(image: string, credentials: readonly TrackedCredential[], sandboxConfig: PodSandboxConfig) {
    const problems: string[] = [];
    const startedAt = clock.now();
    for (const credential of credentials.length > 0 ? credentials : [undefined]) {
      const auth = credential && { auth: { username: credential.username, password: credential.password } };
      try {
        const { imageRef } = await cri.image.pullImage({ image: { image }, ...auth, sandboxConfig });
        return { imageRef, credential, tookMs: clock.now() - startedAt };
      } catch (error) {
        problems.push(printPullError(error));
      }
    }
    const different = [...new Set(problems)];
    throw new Error(different.length === 1 ? different[0] : `[${different.join(", ")}]`);
  }

  function sharedPull(
    image: string,
    credentials: readonly TrackedCredential[],
    sandbox: PodSandboxConfig,
  ): Promise<Pulled> {
    const key = JSON.stringify([image, credentials.map(({ hash, source }) => [hash, source])]);
    let shared = pulls.get(key);
    if (!shared) {
      shared = inTurn(() => pull(image, credentials, sandbox)).finally(() => pulls.delete(key));
      pulls.set(key, shared);
    }
    return shared;
  }

  /** One try, with its record, whoever waits for it. */
  async function recordedPull(
    written: string,
    image: string,
    { credentials, sandbox }: { credentials: readonly TrackedCredential[]; sandbox: PodSandboxConfig },
  ): Promise<Pulled> {
    await records.begin(written);
    try {
      const pulled = await sharedPull(image, credentials, sandbox);
      await records.pulled(written, pulled.imageRef, pulled.credential);
      return pulled;
    } catch (error) {
      await records.failed(written);
      throw error;
    }
  }

  /** What the last failure was, unless it is so long ago that it doesn't count. */
  function backoffOf(uid: string, image: string): Backoff | undefined {
    const backoff = backoffs.get(uid)?.get(image);
    return backoff && clock.now() - backoff.at <= 2 * backoffMsMax ? backoff : undefined;
  }

  async function pullNow(request: EnsureImage, image: string, lookedUp: LookUp): Promise<PresentImage> {
    const { pod, container, sandbox, signal, event } = request;
    const written = container.image ?? "";
    const uid = pod.metadata.uid ?? "";
    const credentials = await lookedUp();
    const backoff = backoffOf(uid, image);
    const now = clock.now();
    if (backoff && now < backoff.at + backoff.delayMs) {
      event("Normal", "BackOff", wording.backOffPull(written));
      const message = `${wording.backOffPull(written)}: ${backoff.why}`;
      throw new ImageError("ImagePullBackOff", message, backoff.at + backoff.delayMs);
    }
    event("Normal", "Pulling", wording.pulling(written));
    let pulled: Pulled;
    try {
      pulled = await Promise.race([recordedPull(written, image, { credentials, sandbox }), aborted(signal)]);
    } catch (error) {
      signal.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      event("Warning", "Failed", wording.pullFailed(written, why));
      const { reason, message } = pullProblem(written, why);
      const delayMs = backoff ? Math.min(backoffMsMax, backoff.delayMs * 2) : backoffInitialMs;
      const ofPod = backoffs.get(uid) ?? new Map<string, Backoff>();
      ofPod.set(image, { delayMs, at: clock.now(), why: `${reason}: ${message}` });
      backoffs.set(uid, ofPod);
      throw new ImageError(reason, message, clock.now() + showErrorMs);
    }
    const found = await inspect(image);
    if (!found) {
      const message = `${written} was pulled but the runtime doesn't have it`;
      throw new ImageError("ErrImagePull", message, clock.now() + backoffInitialMs);
    }
    const waited = printDuration(clock.now() - now);
    event("Normal", "Pulled", wording.pulled(written, printDuration(pulled.tookMs), waited, found.bytes));
    return found;
  }

  return {
    async ensure(request) {
      const { container, event } = request;
      const written = container.image ?? "";
      const policy = container.imagePullPolicy ?? "IfNotPresent";
      let image: string;
      try {
        image = withDefaultTag(written);
      } catch (error) {
        const message = `Failed to apply default image tag ${goQuote(written)}: ${(error as Error).message}`; // withDefaultTag throws Errors
        event("Warning", "InspectFailed", message);
        throw new ImageError("InvalidImageName", message);
      }
      // Programs are asked once, and not before somebody needs to know.
      let found: Promise<TrackedCredential[]> | undefined;
      const lookedUp = () => (found ??= credentialsFor(image, request));
      if (policy === "Always") return pullNow(request, image, lookedUp);
      const present = await inspect(image).catch((error: unknown) => {
        const message = `Failed to inspect image ${goQuote(written)}: ${printRuntimeError(error)}`;
        event("Warning", "InspectFailed", message);
        throw new ImageError("ImageInspectError", message);
      });
      if (present && !(await records.mustPull(written, present.id, lookedUp))) {
        event("Normal", "Pulled", wording.pullPresent(written));
        return present;
      }
      if (policy !== "Never") return pullNow(request, image, lookedUp);
      // That somebody else's image is here is nobody's business.
      event("Warning", "ErrImageNeverPull", wording.neverPull(written));
      throw new ImageError("ErrImageNeverPull", wording.neverPull(written));
    },
    forget: (podUid) => void backoffs.delete(podUid),
  };
}

const knownProblems = {
  RegistryUnavailable: "the registry is unavailable",
  SignatureValidationFailed: "the signature validation failed",
} as const;

function pullProblem(image: string, why: string): { reason: ImageProblemReason; message: string } {
  for (const [reason, text] of Object.entries(knownProblems))
    if (why.startsWith(reason))
      return { reason, message: `image pull failed for ${image} because ${text}${why.slice(reason.length)}` };
  return { reason: "ErrImagePull", message: why };
}

/** As Go prints a gRPC error. */
export function printRuntimeError(error: unknown): string {
  if (!(error instanceof CriError)) return error instanceof Error ? error.message : String(error);
  const name = error.code
    .toLowerCase()
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
  return `rpc error: code = ${name === "Cancelled" ? "Canceled" : name} desc = ${error.details}`;
}

/** Upstream leaves out what an unknown code doesn't tell. */
const printPullError = (error: unknown): string =>
  error instanceof CriError && error.code === "UNKNOWN" ? error.details : printRuntimeError(error);

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
