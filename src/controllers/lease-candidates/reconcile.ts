/**
 * Coordinated leader election: candidates say who they are, and one is made the holder of the Lease that they want: the one with the oldest
 * emulated version, so that an upgrade keeps to what all understand. Follows upstream's pkg/controlplane/controller/leaderelection.
 */
import {
  compareVersions,
  type Lease,
  type LeaseCandidate,
  type LeaseSpec,
  readVersion,
  type SemanticVersion,
} from "#api";
import { timeMs } from "#machinery";
import { nameOf, type Seen } from "../lib/objects.ts";

type Candidate = Seen<LeaseCandidate>;

export const oldestEmulationVersion = "OldestEmulationVersion";
const candidateMs = 30 * 60_000;
/** How long candidates have to answer. */
export const electionMs = 5_000;
const leaseSeconds = 5;

const pinged = ({ spec }: Candidate) => (spec.pingTime ? timeMs(spec.pingTime) : undefined);
const renewed = ({ spec }: Candidate) => (spec.renewTime ? timeMs(spec.renewTime) : undefined);

/** When a candidate that is silent is none any more, ms. */
export const candidateEnd = (candidate: Candidate): number => (renewed(candidate) ?? -Infinity) + candidateMs;
/** Asked, and has not answered since. */
export const owesAnswer = (candidate: Candidate): boolean =>
  (renewed(candidate) ?? 0) < (pinged(candidate) ?? -Infinity);

const none: SemanticVersion = { numbers: [0, 0, 0], prerelease: [] };
const binary = ({ spec }: Candidate) => readVersion(spec.binaryVersion) ?? none;
const emulated = ({ spec }: Candidate) => readVersion(spec.emulationVersion ?? "") ?? none;

/** Of the newest binary: it knows best. Throws when newest ones disagree. */
export function bestStrategy(candidates: readonly Candidate[]): string {
  const [newest] = [...candidates].sort((a, b) => compareVersions(binary(b), binary(a)));
  const strategy = newest?.spec.strategy ?? "";
  const other = candidates.find(
    (each) => newest && compareVersions(binary(each), binary(newest)) === 0 && each.spec.strategy !== strategy,
  );
  if (newest && other)
    throw new Error(
      `candidates "${nameOf(newest)}", "${nameOf(other)}" at same binary version but received differing strategies ${strategy}, ${other.spec.strategy}`,
    );
  return strategy;
}

/** The oldest emulated version, then the oldest binary, then who came first. */
export function bestLeader(candidates: readonly Candidate[]): Candidate | undefined {
  const able = candidates.filter(
    ({ spec }) => readVersion(spec.binaryVersion) && readVersion(spec.emulationVersion ?? ""),
  );
  const age = ({ metadata }: Candidate) => timeMs(metadata?.creationTimestamp);
  return able.sort(
    (a, b) => compareVersions(emulated(a), emulated(b)) || compareVersions(binary(a), binary(b)) || age(a) - age(b),
  )[0];
}

const hasExpired = (spec: Seen<LeaseSpec> | undefined, now: number): boolean =>
  !spec?.renewTime ||
  spec.leaseDurationSeconds === undefined ||
  timeMs(spec.renewTime) + spec.leaseDurationSeconds * 1000 < now;

/** Whether the holder isn't the one it should be, or it is time to hear of the candidates again. */
function isElectionDue(candidates: readonly Candidate[], lease: Seen<Lease> | undefined, now: number): boolean {
  if (hasExpired(lease?.spec, now) || !lease?.spec?.holderIdentity) return true;
  if (candidates.some((each) => (renewed(each) ?? Infinity) + candidateMs / 2 < now)) return true;
  if (bestStrategy(candidates) !== oldestEmulationVersion) return false;
  const leader = bestLeader(candidates);
  return leader !== undefined && nameOf(leader) !== lease.spec.holderIdentity;
}

export type ElectionPlan =
  | { readonly type: "wait" }
  /** These are asked whether they are there. */
  | { readonly type: "ping"; readonly candidates: readonly Candidate[] }
  /** Undefined holder: the strategy is a third party's. */
  | { readonly type: "elect"; readonly strategy: string; readonly holder: string | undefined };

/** `candidates`: those for this lease that are alive. */
export function planElection(
  candidates: readonly Candidate[],
  lease: Seen<Lease> | undefined,
  now: number,
): ElectionPlan {
  if (candidates.length === 0 || !isElectionDue(candidates, lease, now)) return { type: "wait" };
  const isFresh = (each: Candidate) => (renewed(each) ?? -Infinity) + electionMs > now;
  const isAsked = (each: Candidate) => owesAnswer(each) && (pinged(each) ?? -Infinity) + electionMs > now;
  const toAsk = candidates.filter(
    (each) =>
      !isFresh(each) && (pinged(each) === undefined || ((pinged(each) ?? 0) + electionMs < now && !owesAnswer(each))),
  );
  if (toAsk.length > 0) return { type: "ping", candidates: toAsk };
  if (candidates.some(isAsked)) return { type: "wait" };
  const present = candidates.filter(isFresh);
  if (present.length === 0) throw new Error("no available candidates");
  const strategy = bestStrategy(present);
  const leader = strategy === oldestEmulationVersion ? bestLeader(present) : undefined;
  return { type: "elect", strategy, holder: leader && nameOf(leader) };
}

/** What the lease becomes; undefined: it is so already. `at`: now, as leases write it. */
export function electedSpec(
  old: LeaseSpec | undefined,
  { strategy, holder }: { readonly strategy: string; readonly holder: string | undefined },
  { now, at }: { readonly now: number; readonly at: string },
): LeaseSpec | undefined {
  const fresh = { renewTime: at, leaseDurationSeconds: leaseSeconds };
  if (!old) return { strategy, ...fresh, ...(holder !== undefined && { holderIdentity: holder }) };
  const spec: LeaseSpec = { ...old, strategy };
  const isFree = !old.holderIdentity || (hasExpired(old, now) && old.holderIdentity !== holder);
  if (holder !== undefined && isFree) {
    const { preferredHolder: _preferred, acquireTime: _acquired, ...rest } = spec;
    return { ...rest, ...fresh, holderIdentity: holder };
  }
  // The holder gives it away by itself.
  if (holder !== undefined && holder !== old.holderIdentity) spec.preferredHolder = holder;
  return spec.strategy === old.strategy && spec.preferredHolder === old.preferredHolder ? undefined : spec;
}
