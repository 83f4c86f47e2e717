/**
 * Node selector terms compiled to functions: terms are alternatives, what stands within one must hold together.
 * An empty term matches nothing; one that can't be read neither, as upstream decided for objects from before validation.
 */
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from "#api";
import type { DeepReadonly } from "#machinery";
import type { NodeInfo } from "../node-info.ts";

export type NodeMatcher = (node: NodeInfo) => boolean;

type Requirement = DeepReadonly<NodeSelectorRequirement>;

const nothing: NodeMatcher = () => false;

export function compileNodeSelector(selector: DeepReadonly<NodeSelector>): NodeMatcher {
  const terms = selector.nodeSelectorTerms.map(compileTerm);
  return (node) => terms.some((matches) => matches(node));
}

export function compileTerm({ matchExpressions = [], matchFields = [] }: DeepReadonly<NodeSelectorTerm>): NodeMatcher {
  if (matchExpressions.length === 0 && matchFields.length === 0) return nothing;
  const matchers = [...matchExpressions.map(compileLabel), ...matchFields.map(compileField)];
  const [only] = matchers;
  if (matchers.length === 1 && only) return only;
  return (node) => matchers.every((matches) => matches(node));
}

function compileLabel({ key, operator, values = [] }: Requirement): NodeMatcher {
  switch (operator) {
    case "In":
      return ({ labels }) => labels[key] !== undefined && values.includes(labels[key]);
    case "NotIn":
      return ({ labels }) => labels[key] === undefined || !values.includes(labels[key]);
    case "Exists":
      return ({ labels }) => labels[key] !== undefined;
    case "DoesNotExist":
      return ({ labels }) => labels[key] === undefined;
    case "Gt":
    case "Lt": {
      const bound = readInteger(values[0]);
      if (bound === undefined || values.length !== 1) return nothing;
      return ({ labels }) => {
        const value = readInteger(labels[key]);
        return value !== undefined && (operator === "Gt" ? value > bound : value < bound);
      };
    }
    default:
      return nothing;
  }
}

const readInteger = (text: string | undefined): bigint | undefined =>
  text !== undefined && /^[+-]?\d+$/.test(text) ? BigInt(text.replace(/^\+/, "")) : undefined;

/** The only field is the node's name. */
function compileField({ key, operator, values = [] }: Requirement): NodeMatcher {
  const [value] = values;
  if (key !== "metadata.name" || values.length !== 1) return nothing;
  if (operator === "In") return ({ name }) => name === value;
  if (operator === "NotIn") return ({ name }) => name !== value;
  return nothing;
}

/** The only nodes that the selector can match by name, if every term names some. */
export function namedNodes({ nodeSelectorTerms }: DeepReadonly<NodeSelector>): ReadonlySet<string> | undefined {
  let names: Set<string> | undefined;
  for (const { matchFields = [] } of nodeSelectorTerms) {
    let ofTerm: Set<string> | undefined;
    for (const { key, operator, values = [] } of matchFields) {
      if (key !== "metadata.name" || operator !== "In") continue;
      const given = new Set(values);
      ofTerm = ofTerm ? ofTerm.intersection(given) : given;
    }
    if (!ofTerm) return undefined;
    names = names ? names.union(ofTerm) : ofTerm;
  }
  return names;
}
