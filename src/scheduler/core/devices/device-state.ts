/**
 * Claims, classes and slices as the next decision must see them: what the server shows, and on top of it what was decided or written
 * and isn't shown yet. Which devices are taken is kept up to date claim by claim.
 */
import { implicitResourcePrefix } from "#api";
import { AllocatedDevices, type Allocation } from "./allocated.ts";
import { type Allocator, createAllocator } from "./allocator.ts";
import type { Slice } from "./pools.ts";
import { type Claim, claimKey, type ReadonlyClass, stateKey } from "./requests.ts";
import { Selectors } from "./selectors.ts";

/** What the server shows. */
export interface DeviceObjects {
  /** Whether all of it is known. */
  readonly isComplete: boolean;
  claim(key: string): Claim | undefined;
  claims(): readonly Claim[];
  deviceClass(name: string): ReadonlyClass | undefined;
  /** Those that say they stand for an extended resource. */
  classesOf(resource: string): readonly ReadonlyClass[];
  slices(): readonly Slice[];
}

const isNewer = (a: Claim, b: Claim): boolean =>
  BigInt(a.metadata.resourceVersion ?? "0") > BigInt(b.metadata.resourceVersion ?? "0");

export class DeviceState {
  readonly #objects: DeviceObjects;
  readonly #newId: () => string;
  readonly #selectors = new Selectors();
  readonly #allocated = new AllocatedDevices();
  /** What was counted for each claim, by key. */
  readonly #counted = new Map<string, Allocation>();
  /** As written, until the server shows it. */
  readonly #written = new Map<string, Claim>();
  /** Decided and not yet written, by the claim's uid. */
  readonly #pending = new Map<string, Allocation>();

  constructor(objects: DeviceObjects, newId: () => string = () => crypto.randomUUID()) {
    this.#objects = objects;
    this.#newId = newId;
  }

  get isComplete(): boolean {
    return this.#objects.isComplete;
  }

  claim(key: string): Claim | undefined {
    const shown = this.#objects.claim(key);
    const written = this.#written.get(key);
    return shown && written && isNewer(written, shown) ? written : shown;
  }

  claims(): readonly Claim[] {
    return this.#objects.claims();
  }

  deviceClass(name: string): ReadonlyClass | undefined {
    return this.#objects.deviceClass(name);
  }

  /** The class that an extended resource stands for: the newest that says so, then the first by name. */
  classOfResource(resource: string): ReadonlyClass | undefined {
    if (resource.startsWith(implicitResourcePrefix))
      return this.deviceClass(resource.slice(implicitResourcePrefix.length));
    const created = ({ metadata }: ReadonlyClass) => metadata.creationTimestamp ?? "";
    const name = ({ metadata }: ReadonlyClass) => metadata.name ?? "";
    return this.#objects
      .classesOf(resource)
      .toSorted((a, b) => (created(a) > created(b) ? -1 : created(a) < created(b) ? 1 : name(a) < name(b) ? -1 : 1))[0];
  }

  isPending(uid: string): boolean {
    return this.#pending.has(uid);
  }

  createAllocator(): Allocator {
    return createAllocator({
      slices: this.#objects.slices(),
      allocated: this.#allocated,
      classOf: (name) => this.deviceClass(name),
      selectors: this.#selectors,
      newId: this.#newId,
    });
  }

  /** The server showed another version of a claim, or that it is gone. */
  changed(key: string): void {
    const shown = this.#objects.claim(key);
    const written = this.#written.get(key);
    if (written && (!shown || !isNewer(written, shown))) this.#written.delete(key);
    this.#count(key);
  }

  /** Decided: nobody else gets the devices from now on. */
  reserve(claim: Claim, allocation: Allocation): void {
    this.#pending.set(claim.metadata.uid ?? "", allocation);
    this.#count(stateKey(claim), allocation);
  }

  /** Nothing comes of it. */
  release(claim: Claim): void {
    this.#pending.delete(claim.metadata.uid ?? "");
    this.#count(stateKey(claim));
  }

  /** It was written. */
  wrote(claim: Claim): void {
    const key = claimKey(claim);
    this.#written.set(key, claim);
    this.#pending.delete(claim.metadata.uid ?? "");
    this.#count(key, claim.status?.allocation);
  }

  #count(key: string, known?: Allocation): void {
    const claim = this.claim(key);
    const allocation = known ?? claim?.status?.allocation ?? this.#pending.get(claim?.metadata.uid ?? "");
    const before = this.#counted.get(key);
    if (before === allocation) return;
    if (before) this.#allocated.change(before, -1);
    if (allocation) {
      this.#allocated.change(allocation, 1);
      this.#counted.set(key, allocation);
    } else this.#counted.delete(key);
  }
}
