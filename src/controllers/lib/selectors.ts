/** Compiled selectors of objects that are asked again and again, kept as long as the object is in a cache. */
import { compileLabelSelector, type LabelMatcher, type LabelSelector, selectorFromLabels } from "#machinery";

export interface SelectorCache {
  /** Throws SelectorError when it can't be read. */
  of(selector: LabelSelector | undefined): LabelMatcher;
  /** Of a Service or ReplicationController: an absent or empty map selects nothing. */
  ofLabels(labels: Readonly<Record<string, string>> | undefined): LabelMatcher;
}

export function createSelectorCache(): SelectorCache {
  const compiled = new WeakMap<object, LabelMatcher>();
  const nothing = compileLabelSelector(undefined);
  function remember<T extends object>(selector: T | undefined, compile: (selector: T) => LabelMatcher): LabelMatcher {
    if (!selector) return nothing;
    let matcher = compiled.get(selector);
    if (!matcher) {
      matcher = compile(selector);
      compiled.set(selector, matcher);
    }
    return matcher;
  }
  return {
    of: (selector) => remember(selector, compileLabelSelector),
    ofLabels: (labels) =>
      remember(labels, (map) => (Object.keys(map).length === 0 ? nothing : selectorFromLabels(map))),
  };
}
