/**
 * Node selector terms compiled to functions: terms are alternatives, what stands within one must hold together.
 * An empty term matches nothing; one that can't be read neither, as upstream decided for objects from before validation.
 */

/** What selectors look at. */
export interface SelectableNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export type NodeMatcher = (node: SelectableNode) => boolean;

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

interface Term {
  readonly matchExpressions?: readonly Requirement[];
  readonly matchFields?: readonly Requirement[];
}

interface Selector {
  readonly nodeSelectorTerms: readonly Term[];
}

/** `spec.nodeSelector` and required node affinity of a pod; undefined when it has neither. */
export function compileRequiredNodes(
  nodeSelector: Readonly<Record<string, string>> = {},
  required?: Selector,
): NodeMatcher | undefined {
  const wanted = Object.entries(nodeSelector);
  if (wanted.length === 0) return required && compileNodeSelector(required);
  const hasLabels: NodeMatcher = ({ labels }) => wanted.every(([key, value]) => labels[key] === value);
  if (!required) return hasLabels;
  const matches = compileNodeSelector(required);
  return (node) => hasLabels(node) && matches(node);
}

const nothing: NodeMatcher = () => false;

export function compileNodeSelector(selector: Selector): NodeMatcher {
  const terms = selector.nodeSelectorTerms.map(compileTerm);
  return (node) => terms.some((matches) => matches(node));
}

export function compileTerm({ matchExpressions = [], matchFields = [] }: Term): NodeMatcher {
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
export function namedNodes({ nodeSelectorTerms }: Selector): ReadonlySet<string> | undefined {
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
