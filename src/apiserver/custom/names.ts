/** Which of its names a definition gets: those nobody in its group has. Pure; follows controller/status/naming_controller.go. */
import type { CustomResourceDefinition, CustomResourceDefinitionNames, DefinitionCondition } from "#api";
import { caBundleProblem, findCondition } from "#api";
import { type DeepReadonly, goQuote } from "#machinery";

type Definition = DeepReadonly<CustomResourceDefinition>;
type Names = DeepReadonly<CustomResourceDefinitionNames>;

export interface Naming {
  readonly acceptedNames: Names;
  readonly namesAccepted: DefinitionCondition;
  readonly established: DefinitionCondition;
}

/** `others`: the definitions of the same group. */
export function planNames(definition: Definition, others: readonly Definition[]): Naming {
  const { names } = definition.spec;
  const accepted = definition.status?.acceptedNames ?? { plural: "", kind: "" };
  const taken = others.flatMap(({ status }) => (status?.acceptedNames ? [status.acceptedNames] : []));
  const resources = new Set(
    taken.flatMap(({ plural, singular, shortNames = [] }) => [plural, singular, ...shortNames]),
  );
  const kinds = new Set(taken.flatMap(({ kind, listKind }) => [kind, listKind]));
  let conflict: { reason: string; message: string } | undefined;
  const next: { -readonly [K in keyof Names]: Names[K] } = { ...accepted };
  const inUse = (name: string): string => `${goQuote(name)} is already in use`;
  const claim = (field: "plural" | "singular" | "kind" | "listKind", used: ReadonlySet<string | undefined>) => {
    const wanted = names[field];
    if (wanted !== undefined && wanted !== accepted[field] && wanted !== "" && used.has(wanted)) {
      conflict = { reason: `${field.charAt(0).toUpperCase()}${field.slice(1)}Conflict`, message: inUse(wanted) };
    } else if (wanted !== undefined) next[field] = wanted;
  };
  claim("plural", resources);
  claim("singular", resources);
  const lost = (names.shortNames ?? []).filter((name) => !accepted.shortNames?.includes(name) && resources.has(name));
  if (lost.length > 0) conflict = { reason: "ShortNamesConflict", message: aggregate(lost.map(inUse)) };
  else setOptional(next, "shortNames", names.shortNames);
  claim("kind", kinds);
  claim("listKind", kinds);
  setOptional(next, "categories", names.categories);
  const namesAccepted: DefinitionCondition = conflict
    ? { type: "NamesAccepted", status: "False", ...conflict }
    : { type: "NamesAccepted", status: "True", reason: "NoConflicts", message: "no conflicts found" };
  return { acceptedNames: next, namesAccepted, established: established(definition, !conflict) };
}

function setOptional(
  names: { -readonly [K in keyof Names]: Names[K] },
  field: "shortNames" | "categories",
  value: readonly string[] | undefined,
): void {
  if (value) names[field] = value;
  else delete names[field];
}

const aggregate = (messages: readonly string[]): string =>
  messages.length === 1 ? messages.join() : `[${messages.join(", ")}]`;

/** Once established, always: its objects are there. */
function established(definition: Definition, accepted: boolean): DefinitionCondition {
  const found = findCondition(definition, "Established");
  const { reason = "", message = "" } = found ?? {};
  if (found?.status === "True") return { type: "Established", status: "True", reason, message };
  if (accepted && caBundleProblem(definition.spec.conversion?.webhook?.clientConfig?.caBundle) !== undefined) {
    const message = "The conversion webhook CABundle is invalid";
    return { type: "Established", status: "False", reason: "InvalidCABundle", message };
  }
  if (accepted) {
    const message = "the initial names have been accepted";
    return { type: "Established", status: "True", reason: "InitialNamesAccepted", message };
  }
  if (found) return { type: "Established", status: found.status, reason, message };
  return { type: "Established", status: "False", reason: "NotAccepted", message: "not all names are accepted" };
}
