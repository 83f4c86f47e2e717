/**
 * Makes sure that a container's image is here, by its pull policy. Pulls of the same image with the same credentials are shared, a few
 * run at a time, and one that fails is not tried again before its back-off is over.
 */
import type { Clock } from "#base";
import { goQuote } from "#machinery";
import { withDefaultTag } from "../core/image-reference.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { ImageUser } from "../core/users.ts";
import { wording } from "../core/wording.ts";
import { type CriClient, CriError } from "../cri/client.ts";
import type { AuthConfig, PodSandboxConfig } from "../cri/types.d.ts";
import { printDuration } from "#base";
import { credentialsFor, type PullSecret } from "./credentials.ts";

export type ImageProblemReason =
  | "ErrImagePull"
  | "ImagePullBackOff"
  | "ErrImageNeverPull"
  | "InvalidImageName"
  | "ImageInspectError"
  | "RegistryUnavailable";

/** Why there is no image: `reason` becomes the container's waiting reason. */
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

/** Registries and disks are shared: more at once makes none faster. */
const pullsMax = 4;
const backoffInitialMs = 10_000;
const backoffMsMax = 300_000;
/** How long a container shows ErrImagePull before it shows ImagePullBackOff. */
const showErrorMs = 5_000;

interface Backoff {
  readonly delayMs: number;
  readonly at: number;
  readonly why: string;
}

export function createImageManager({ cri, clock }: { cri: CriClient; clock: Clock }): ImageManager {
  const backoffs = new Map<string, Map<string, Backoff>>();
  const pulls = new Map<string, Promise<string>>();
  const waiting: (() => void)[] = [];
  let running = 0;

  async function inspect(image: string): Promise<(PresentImage & { bytes: number }) | undefined> {
    const { image: found } = await cri.image.imageStatus({ image: { image } });
    if (!found?.id) return undefined;
    return {
      id: found.id,
      user: { uid: found.uid?.value ?? (found.username ? undefined : 0), name: found.username },
      bytes: found.size,
    };
  }

  async function limited<T>(work: () => Promise<T>): Promise<T> {
    if (running >= pullsMax) await new Promise<void>((resolve) => waiting.push(resolve));
    running++;
    try {
      return await work();
    } finally {
      running--;
      waiting.shift()?.();
    }
  }

  /** Tries each credential that fits, or none; rejects with what the registry said last. */
  async function pull(image: string, auths: readonly AuthConfig[], sandboxConfig: PodSandboxConfig): Promise<string> {
    let last: unknown;
    for (const auth of auths.length > 0 ? auths : [undefined]) {
      try {
        const { imageRef } = await cri.image.pullImage({ image: { image }, ...(auth ? { auth } : {}), sandboxConfig });
        return imageRef;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  function sharedPull(image: string, auths: readonly AuthConfig[], sandbox: PodSandboxConfig): Promise<string> {
    const key = JSON.stringify([image, auths]);
    let shared = pulls.get(key);
    if (!shared) {
      shared = limited(() => pull(image, auths, sandbox)).finally(() => pulls.delete(key));
      pulls.set(key, shared);
    }
    return shared;
  }

  return {
    async ensure({ pod, container, secrets, sandbox, signal, event }) {
      const written = container.image ?? "";
      const policy = container.imagePullPolicy ?? "IfNotPresent";
      const uid = pod.metadata.uid ?? "";
      let image: string;
      try {
        image = withDefaultTag(written);
      } catch (error) {
        const message = `Failed to apply default image tag ${goQuote(written)}: ${(error as Error).message}`; // withDefaultTag throws Errors
        event("Warning", "InspectFailed", message);
        throw new ImageError("InvalidImageName", message);
      }
      const present = await inspect(image).catch((error: unknown) => {
        const message = `Failed to inspect image ${goQuote(written)}: ${printRuntimeError(error)}`;
        event("Warning", "InspectFailed", message);
        throw new ImageError("ImageInspectError", message);
      });
      if (policy === "Never" || (policy === "IfNotPresent" && present)) {
        if (present) {
          event("Normal", "Pulled", wording.pullPresent(written));
          return present;
        }
        event("Warning", "ErrImageNeverPull", wording.neverPull(written));
        throw new ImageError("ErrImageNeverPull", wording.neverPull(written));
      }

      const backoff = backoffs.get(uid)?.get(image);
      const now = clock.now();
      if (backoff && now < backoff.at + backoff.delayMs) {
        event("Normal", "BackOff", wording.backOffPull(written));
        throw new ImageError(
          "ImagePullBackOff",
          `${wording.backOffPull(written)}: ErrImagePull: ${backoff.why}`,
          backoff.at + backoff.delayMs,
        );
      }
      event("Normal", "Pulling", wording.pulling(written));
      try {
        await Promise.race([sharedPull(image, credentialsFor(image, secrets), sandbox), aborted(signal)]);
      } catch (error) {
        signal.throwIfAborted();
        const why = printRuntimeError(error);
        event("Warning", "Failed", wording.pullFailed(written, why));
        const delayMs = backoff ? Math.min(backoffMsMax, backoff.delayMs * 2) : backoffInitialMs;
        const ofPod = backoffs.get(uid) ?? new Map<string, Backoff>();
        ofPod.set(image, { delayMs, at: clock.now(), why });
        backoffs.set(uid, ofPod);
        throw new ImageError("ErrImagePull", why, clock.now() + showErrorMs);
      }
      const pulled = await inspect(image);
      if (!pulled)
        throw new ImageError(
          "ErrImagePull",
          `${written} was pulled but the runtime doesn't have it`,
          clock.now() + backoffInitialMs,
        );
      backoffs.get(uid)?.delete(image);
      const took = printDuration(clock.now() - now);
      event("Normal", "Pulled", wording.pulled(written, took, took, pulled.bytes));
      return pulled;
    },
    forget: (podUid) => void backoffs.delete(podUid),
  };
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

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
