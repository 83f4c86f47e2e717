/** Requests of the claims to allocate, with what the search wants to know of each before it starts. */
import type { CapacityRequirements, DeviceClass, DeviceSelector, DeviceToleration, ResourceClaim } from "#api";
import type { DeepReadonly } from "#machinery";
import type { RequestName } from "./constraints.ts";
import type { Pool, ReadonlyDevice, Slice } from "./pools.ts";

export type Claim = DeepReadonly<ResourceClaim>;
export type ReadonlyClass = DeepReadonly<DeviceClass>;

export interface Candidate {
  readonly id: string;
  readonly device: ReadonlyDevice;
  readonly slice: Slice;
  readonly pool: Pool;
}

/** A request, or one alternative of it. */
export interface Wanted {
  readonly claim: Claim;
  /** As messages name it: an alternative by its own name. */
  readonly name: string;
  readonly reference: RequestName;
  readonly deviceClassName: string;
  readonly selectors: readonly DeepReadonly<DeviceSelector>[];
  readonly tolerations?: readonly DeepReadonly<DeviceToleration>[] | undefined;
  readonly capacity?: DeepReadonly<CapacityRequirements> | undefined;
  readonly isAdmin: boolean;
  /** "All" or how many. */
  readonly mode: string;
  readonly count: number;
}

/** As it stands once classes and pools were looked at. */
export interface Request extends Wanted {
  readonly deviceClass: ReadonlyClass;
  /** How many devices it takes. */
  readonly size: number;
  /** All that match, when it wants all. */
  readonly everything?: readonly Candidate[];
  /** Whether a device matches class and selectors, by id. */
  readonly matches: Map<string, boolean>;
}

/** Alternatives in the order of preference; most requests have one only. */
export interface Choice {
  readonly alternatives: readonly Request[];
  readonly isChoice: boolean;
  /** The alternative that was taken. */
  chosen: number;
}

/** As in `Wanted`, and whether there is a choice. */
export function wantedOf(claim: Claim): { readonly wanted: readonly Wanted[]; readonly isChoice: boolean }[] {
  return (claim.spec.devices?.requests ?? []).map(({ name, exactly, firstAvailable = [] }) => {
    if (firstAvailable.length > 0) {
      const wanted = firstAvailable.map((each) => ({
        ...common(claim, each),
        name: each.name,
        reference: { base: name, alternative: `${name}/${each.name}` },
        isAdmin: false,
      }));
      return { wanted, isChoice: true };
    }
    const { adminAccess = false, ...rest } = exactly ?? { deviceClassName: "" };
    return {
      wanted: [{ ...common(claim, rest), name, reference: { base: name }, isAdmin: adminAccess }],
      isChoice: false,
    };
  });
}

type Asked = Pick<Wanted, "deviceClassName" | "tolerations" | "capacity"> & {
  readonly selectors?: Wanted["selectors"];
  readonly allocationMode?: string;
  readonly count?: number;
};

function common(
  claim: Claim,
  { deviceClassName, selectors = [], tolerations, capacity, allocationMode, count }: Asked,
) {
  return { claim, deviceClassName, selectors, tolerations, capacity, mode: allocationMode ?? "", count: count ?? 0 };
}

/** As results name a request. */
export const fullName = ({ base, alternative }: RequestName): string => alternative ?? base;

export const claimKey = ({ metadata }: Claim): string => `${metadata.namespace}/${metadata.name}`;

/** Of a claim that stands for extended resources until it is written; no claim can have this name. */
export const unwrittenName = "<extended-resources>";

/** Tells claims apart, also those that have no name yet. */
export const stateKey = (claim: Claim): string =>
  claim.metadata.name === unwrittenName ? (claim.metadata.uid ?? "") : claimKey(claim);
