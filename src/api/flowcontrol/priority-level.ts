/** PriorityLevelConfiguration: how many requests run at once and how others wait. Follows upstream's registry/flowcontrol/prioritylevelconfiguration. */
import { type FieldError, rangeMessage } from "#machinery";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type {
  LimitResponse,
  LimitedPriorityLevelConfiguration,
  PriorityLevelConfiguration,
  PriorityLevelConfigurationSpec,
  QueuingConfiguration,
} from "../types.d.ts";
import { mandatoryPriorityLevels } from "./mandatory.ts";
import { priorityLevelColumns } from "./priority-level-columns.ts";
import { statusStrategy, validateConditions } from "./status.ts";

const limitedShares = 30;
const queuing = { queues: 64, handSize: 8, queueLengthLimit: 50 };
const queuesMax = 10_000_000;
/** Of the hash by which requests are dealt to queues. */
const hashBitsMax = 60;

function defaultLevel(level: PriorityLevelConfiguration): void {
  level.spec ??= { type: "" };
  const { exempt, limited } = level.spec;
  if (exempt) {
    exempt.nominalConcurrencyShares ??= 0;
    exempt.lendablePercent ??= 0;
  }
  if (!limited) return;
  limited.nominalConcurrencyShares ??= limitedShares;
  limited.lendablePercent ??= 0;
  const queues = limited.limitResponse?.queuing;
  if (!queues) return;
  queues.queues ||= queuing.queues;
  queues.handSize ||= queuing.handSize;
  queues.queueLengthLimit ||= queuing.queueLengthLimit;
}

function validateLevel(level: PriorityLevelConfiguration): FieldError[] {
  const at = Place.root("spec");
  const name = level.metadata.name ?? "";
  const spec = specOf(level);
  validateSpec(spec, at, name);
  const mandatory = Object.hasOwn(mandatoryPriorityLevels, name) ? mandatoryPriorityLevels[name] : undefined;
  if (mandatory) validateMandatory(spec, mandatory, { at, name });
  return validateConditions(level, at.errors);
}

/** Of the exempt level one may say how much of the server it stands for. */
function validateMandatory(
  spec: PriorityLevelConfigurationSpec,
  mandatory: PriorityLevelConfigurationSpec,
  { at, name }: { at: Place; name: string },
): void {
  const isExempt = name === "exempt" && mandatory.exempt;
  const compared = isExempt ? { ...spec, exempt: mandatory.exempt } : spec;
  if (semanticEqual(compared, mandatory)) return;
  const what = isExempt ? "except the 'spec.exempt' field " : "";
  const printed = goStruct("api.flowcontrol.v1.PriorityLevelConfigurationSpec", spec);
  at.invalid(printed, `spec of '${name}' ${what}must equal the fixed value`);
}

function validateSpec({ type = "", limited, exempt }: PriorityLevelConfigurationSpec, at: Place, name: string): void {
  if ((name === "exempt") !== (type === "Exempt")) {
    at.child("type").invalid(type, "type must be 'Exempt' if and only if name is 'exempt'");
  }
  switch (type) {
    case "Exempt":
      if (limited) at.child("limited").forbidden("must be nil if the type is not Limited");
      if (exempt) validateShares(exempt, at.child("exempt"));
      break;
    case "Limited":
      if (exempt) at.child("exempt").forbidden("must be nil if the type is Limited");
      if (limited) validateLimited(limited, at.child("limited"));
      else at.child("limited").required("must not be empty when type is Limited");
      break;
    default:
      at.child("type").notSupported(type, ["Exempt", "Limited"]);
  }
}

function validateShares(
  {
    nominalConcurrencyShares: shares,
    lendablePercent: percent,
  }: { nominalConcurrencyShares?: number; lendablePercent?: number },
  at: Place,
): void {
  if (shares !== undefined && shares < 0) {
    at.child("nominalConcurrencyShares").invalid(shares, "must be a non-negative integer");
  }
  validatePercent(percent, at.child("lendablePercent"));
}

function validatePercent(percent: number | undefined, at: Place): void {
  if (percent !== undefined && (percent < 0 || percent > 100)) at.invalid(percent, rangeMessage(0, 100));
}

function validateLimited(limited: LimitedPriorityLevelConfiguration, at: Place): void {
  const { nominalConcurrencyShares: shares = 0, borrowingLimitPercent: borrowed } = limited;
  if (shares < 0) at.child("nominalConcurrencyShares").invalid(shares, "must be a non-negative integer");
  validateResponse(limited.limitResponse ?? {}, at.child("limitResponse"));
  validatePercent(limited.lendablePercent, at.child("lendablePercent"));
  if (borrowed !== undefined && borrowed < 0) {
    at.child("borrowingLimitPercent").invalid(borrowed, "if specified, must be a non-negative integer");
  }
}

/** "Limited" in these messages is upstream's slip: it means Queue. */
function validateResponse({ type = "", queuing }: Partial<LimitResponse>, at: Place): void {
  const place = at.child("queuing");
  switch (type) {
    case "Reject":
      if (queuing) place.forbidden("must be nil if limited.limitResponse.type is not Limited");
      break;
    case "Queue":
      if (queuing) validateQueues(queuing, place);
      else place.required("must not be empty if limited.limitResponse.type is Limited");
      break;
    default:
      at.child("type").notSupported(type, ["Queue", "Reject"]);
  }
}

function validateQueues(queuing: QueuingConfiguration, at: Place): void {
  const { queues = 0, handSize = 0, queueLengthLimit = 0 } = queuing;
  const positive = "must be positive";
  if (queueLengthLimit <= 0) at.child("queueLengthLimit").invalid(queueLengthLimit, positive);
  if (queues <= 0) at.child("queues").invalid(queues, positive);
  else if (queues > queuesMax) at.child("queues").invalid(queues, `must not be greater than ${queuesMax}`);
  const handAt = at.child("handSize");
  if (handSize <= 0) handAt.invalid(handSize, positive);
  else if (handSize > queues) handAt.invalid(handSize, `should not be greater than queues (${queues})`);
  else if (Math.ceil(Math.log2(queues) * handSize) > hashBitsMax) {
    const what = `required entropy bits of deckSize ${queues} and handSize ${handSize}`;
    handAt.invalid(handSize, `${what} should not be greater than ${hashBitsMax}`);
  }
}

export const priorityLevelConfigurationKind = defineKind<PriorityLevelConfiguration>({
  group: "flowcontrol.apiserver.k8s.io",
  kind: "PriorityLevelConfiguration",
  resource: "prioritylevelconfigurations",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults: defaultLevel,
  prepareForCreate(level) {
    level.status = {};
    firstGeneration(level);
  },
  prepareForUpdate(level, old) {
    bumpGeneration(level, old);
    setOrDelete(level, { status: old.status });
  },
  validate: validateLevel,
  validateUpdate: validateLevel,

  subresources: { status: statusStrategy },
  columns: priorityLevelColumns,
});
