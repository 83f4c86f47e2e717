/** The selectors of a request, compiled for the cache. */
import { goQuote, parseFieldSelector, parseLabelSelector, SelectorError, statusError } from "#machinery";
import { Selection } from "../cache/selection.ts";
import type { StoredKind } from "../resource.ts";
import type { Call } from "./call.ts";
import type { ListOptions } from "./options.ts";

export interface Selected {
  readonly selection: Selection;
  /** No selectors: what remains of a list can be counted. */
  readonly unfiltered: boolean;
}

export function readSelection(kind: StoredKind, { target, resource }: Call, options: ListOptions): Selected {
  try {
    const labels = parseLabelSelector(options.labelSelector);
    const fields = parseFieldSelector(options.fieldSelector, (field, value) => ({
      field: selectableField(kind, field, resource.groupVersion),
      value,
    }));
    const named = fields.exactValue("metadata.name");
    if (target.name !== "" && !fields.everything && named !== target.name) {
      throw new SelectorError("fieldSelector metadata.name doesn't match requested name");
    }
    const name = target.name === "" ? {} : { name: target.name };
    const selection = new Selection({
      kind,
      namespace: kind.namespaced ? target.namespace : "",
      labels,
      fields,
      ...name,
    });
    return { selection, unfiltered: labels.everything && fields.everything && target.name === "" };
  } catch (error) {
    if (error instanceof SelectorError) throw statusError.badRequest(error.message);
    throw error;
  }
}

const generalFields = ["metadata.name", "metadata.namespace"];

function selectableField({ behaviour }: StoredKind, field: string, apiVersion: string): string {
  const name = behaviour.selectableField ? behaviour.selectableField(field, apiVersion) : field;
  if (name !== undefined && (generalFields.includes(name) || behaviour.selectableFieldNames?.includes(name)))
    return name;
  const usual = `${goQuote(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
  throw new SelectorError(behaviour.unknownField?.(field) ?? usual);
}
