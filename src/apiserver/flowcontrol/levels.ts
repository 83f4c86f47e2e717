/**
 * Priority levels and flow schemas made from the objects that describe them: who has how many of the server's seats, and who borrows
 * from whom. A level that is no longer wanted stays until its queues are empty. Follows upstream's apf_controller.
 */
import {
  type FlowSchema,
  mandatoryFlowSchemas,
  mandatoryPriorityLevels,
  type PriorityLevelConfiguration,
  type PriorityLevelConfigurationSpec,
} from "#api";
import { assert } from "#base";
import type { DeepReadonly } from "#machinery";
import { allocateSeats } from "./allocation.ts";
import { type CompiledSchema, compileRules } from "./classify.ts";
import { dealHand, flowHash } from "./dealer.ts";
import { type DemandStats, noDemand, updateStats } from "./demand.ts";
import type { FlowMetrics, FlowSeries } from "./flow-metrics.ts";
import { QueueSet, type Response } from "./queue-set.ts";
import { RetryAfter } from "./retry-after.ts";

type LevelObject = DeepReadonly<PriorityLevelConfiguration>;
type SchemaObject = DeepReadonly<FlowSchema>;

export class Level {
  readonly name: string;
  readonly queues: QueueSet;
  readonly retryAfter = new RetryAfter();
  uid = "";
  spec: DeepReadonly<PriorityLevelConfigurationSpec>;
  /** Goes when it is idle. */
  quiescing = false;
  /** Seats: the share; what isn't lent; what it may have with borrowed ones; what it has now. */
  nominal = 0;
  lower = 0;
  upper = 0;
  current = 0;
  demand: DemandStats = noDemand;
  /** The most that one request may be estimated to need; 0: only the general limit. */
  requestSeatsMax = 0;
  /** Where it stands when levels take turns. */
  pass = 0;

  constructor(name: string, { spec, queues }: { spec: LevelObject["spec"] & {}; queues: QueueSet }) {
    this.name = name;
    this.spec = spec;
    this.queues = queues;
  }

  get exempt(): boolean {
    return this.spec.type === "Exempt";
  }

  get response(): Response {
    const { type, limited } = this.spec;
    if (type === "Exempt") return "exempt";
    const { queuing } = limited?.limitResponse ?? {};
    return queuing ? { queues: queuing.queues ?? 0, lengthMax: queuing.queueLengthLimit ?? 0 } : "reject";
  }

  get shares(): number {
    return (this.spec.limited ?? this.spec.exempt)?.nominalConcurrencyShares ?? 0;
  }
}

const none: readonly number[] = [];
/** Flows whose hands are remembered for a schema; dealing one takes some microseconds. */
const handsMax = 4_096;

/** A flow schema and the level its requests go to. */
export class Schema implements CompiledSchema {
  readonly name: string;
  readonly uid: string;
  readonly level: Level;
  /** What clients are told. */
  readonly flow: { readonly schemaUid: string; readonly levelUid: string };
  readonly rules: CompiledSchema["rules"];
  readonly #by: string | undefined;
  readonly #metrics: FlowMetrics;
  readonly #hands = new Map<string, readonly number[]>();
  #series: FlowSeries | undefined;

  constructor(object: SchemaObject, { level, metrics }: { level: Level; metrics: FlowMetrics }) {
    this.name = object.metadata.name ?? "";
    this.uid = object.metadata.uid ?? "";
    this.level = level;
    this.flow = { schemaUid: this.uid, levelUid: level.uid };
    this.rules = compileRules(object);
    this.#by = object.spec?.distinguisherMethod?.type;
    this.#metrics = metrics;
  }

  get series(): FlowSeries {
    this.#series ??= this.#metrics.seriesOf(this.level.name, this.name);
    return this.#series;
  }

  /** What tells its flows apart; "" where nothing depends on it. */
  distinguish(user: string, namespace: string): string {
    const { response } = this.level;
    if (this.#by === undefined || typeof response === "string" || response.queues <= 1) return "";
    return this.#by === "ByUser" ? user : namespace;
  }

  hand(distinguisher: string): readonly number[] {
    const known = this.#hands.get(distinguisher);
    if (known) return known;
    const queuing = this.level.spec.limited?.limitResponse?.queuing;
    if (!queuing) return none;
    const { queues = 1, handSize = 1 } = queuing;
    const hand = dealHand(flowHash(this.name, distinguisher), { queues, handSize });
    if (this.#hands.size >= handsMax) this.#hands.clear();
    this.#hands.set(distinguisher, hand);
    return hand;
  }
}

/** An object whose parts contradict each other counts as not there: validation lets none in. */
function isWhole({ metadata: { name }, spec }: LevelObject): boolean {
  if (!spec) return false;
  const { type, limited, exempt } = spec;
  if ((type === "Limited") !== (limited !== undefined) || (type === "Exempt") !== (exempt !== undefined)) return false;
  if ((type === "Exempt") !== (name === "exempt")) return false;
  const response = limited?.limitResponse;
  return !response || (response.type === "Reject") === (response.queuing === undefined);
}

export interface Configuration {
  readonly levels: ReadonlyMap<string, Level>;
  /** By precedence. */
  readonly schemas: readonly Schema[];
}

export interface DigestOptions {
  readonly levels: readonly LevelObject[];
  readonly schemas: readonly SchemaObject[];
  readonly previous: ReadonlyMap<string, Level>;
  /** Seats of the server. */
  readonly seats: number;
  readonly metrics: FlowMetrics;
  readonly nowMs: number;
}

export function digest(options: DigestOptions): Configuration {
  const { previous, metrics, nowMs } = options;
  const levels = new Map<string, Level>();
  const put = (object: LevelObject) => {
    const { name = "", uid = "" } = object.metadata;
    const { spec } = object;
    assert(spec, "a whole level has a spec");
    const level = previous.get(name) ?? new Level(name, { spec, queues: new QueueSet(metrics.ratios(name), nowMs) });
    Object.assign(level, { spec, uid, quiescing: false });
    levels.set(name, level);
  };
  for (const object of options.levels) if (isWhole(object)) put(object);
  const wanted = options.schemas.filter(({ spec }) => levels.has(spec?.priorityLevelConfiguration.name ?? ""));
  // What every server has is there even before its objects are.
  for (const [name, spec] of Object.entries(mandatoryPriorityLevels))
    if (!levels.has(name)) put({ metadata: { name }, spec });
  for (const [name, level] of previous) {
    if (levels.has(name) || level.queues.idle) continue;
    level.quiescing = true;
    levels.set(name, level);
  }
  const all = [...levels.values()];
  share(all, options);
  for (const level of all) level.queues.configure(level.response, nowMs);
  borrow(all, options);
  return { levels, schemas: compile(wanted, { levels, metrics }) };
}

function compile(
  objects: readonly SchemaObject[],
  { levels, metrics }: { levels: ReadonlyMap<string, Level>; metrics: FlowMetrics },
): Schema[] {
  const names = new Set(objects.map(({ metadata }) => metadata.name));
  const missing = (name: string) =>
    Object.entries(mandatoryFlowSchemas)
      .filter(([each]) => each === name && !names.has(name))
      .map(([, spec]) => ({ metadata: { name }, spec }));
  const sorted = [...objects].sort(
    (a, b) => precedence(a) - precedence(b) || ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1),
  );
  return [...missing("exempt"), ...sorted, ...missing("catch-all")].map((object) => {
    const level = levels.get(object.spec?.priorityLevelConfiguration.name ?? "");
    assert(level, "schemas without a level were left out");
    return new Schema(object, { level, metrics });
  });
}

const precedence = ({ spec }: SchemaObject): number => spec?.matchingPrecedence ?? 1000;

/** Upstream's: a request may take this share of its level. */
const requestShareMax = 0.15;

function share(levels: readonly Level[], { seats, metrics }: DigestOptions): void {
  const total = levels.reduce((sum, { shares }) => sum + shares, 0);
  for (const level of levels) {
    const { limited, exempt } = level.spec;
    const nominal = total === 0 ? 0 : Math.ceil((seats * level.shares) / total);
    const lent = Math.round((nominal * ((limited ?? exempt)?.lendablePercent ?? 0)) / 100);
    const percent = limited?.borrowingLimitPercent;
    const borrowed = percent === undefined ? seats : Math.round((nominal * percent) / 100);
    // Of one that is new nobody knows what it needs.
    if (level.nominal === 0) level.current = nominal - Math.trunc(lent / 2);
    Object.assign(level, { nominal, lower: nominal - lent, upper: nominal + borrowed });
    const hand = limited?.limitResponse?.queuing?.handSize;
    level.requestSeatsMax =
      hand === undefined ? 0 : Math.max(1, Math.min(Math.ceil(nominal * requestShareMax), Math.trunc(nominal / hand)));
    metrics.setLevel(level.name, { nominal, lower: level.lower, upper: level.upper });
  }
}

/**
 * Gives the seats that nobody uses to those who could use them. At the end of each period: what a level needs at least is what it used at
 * its peak, up to its share; what it should have is its smoothed demand.
 */
export function borrow(
  levels: readonly Level[],
  { seats, metrics, nowMs }: Pick<DigestOptions, "seats" | "metrics" | "nowMs">,
): void {
  for (const level of levels) level.demand = updateStats(level.demand, level.queues.endPeriod(nowMs));
  const total = levels.reduce((sum, { nominal }) => sum + nominal, 0);
  const limited = levels.filter(({ exempt }) => !exempt);
  const leastOf = ({ exempt, lower, nominal, demand: { peak } }: Level) =>
    Math.max(lower, exempt ? peak : Math.min(nominal, peak));
  let left = total;
  for (const level of levels) {
    if (!level.exempt) continue;
    level.current = leastOf(level);
    left -= level.current;
  }
  const shares = limited.map((level) => {
    const lowerBound = leastOf(level);
    return { lowerBound, upperBound: level.upper, target: Math.max(lowerBound, level.demand.smoothed) };
  });
  const lowest = limited.reduce((sum, { lower }) => sum + lower, 0);
  const least = shares.reduce((sum, { lowerBound }) => sum + lowerBound, 0);
  let fairFraction = 0;
  if (left <= least) {
    // The exempt ones left too little: down to what nobody lends, evenly.
    const fraction = left <= lowest || least === lowest ? 0 : (left - lowest) / (least - lowest);
    for (const level of limited) level.current = level.lower + Math.round((leastOf(level) - level.lower) * fraction);
  } else {
    const allocation = allocateSeats(total, shares);
    fairFraction = allocation?.fairFraction ?? 0;
    limited.forEach((level, at) => {
      level.current = Math.round(allocation?.seats[at] ?? level.current);
    });
  }
  metrics.setFairFraction(fairFraction);
  for (const level of levels) {
    const { current, demand, name } = level;
    const denominator = current > 0 ? current : Math.max(1, Math.round(seats / 10));
    level.queues.setLimit({ limit: current, denominator }, nowMs);
    const { smoothed, peak, average, deviation } = demand;
    const target = level.exempt ? current : Math.max(leastOf(level), smoothed);
    metrics.setLevel(name, { current, smoothed, peak, average, deviation, target });
  }
}
