/**
 * Lets code that can't wait use conversions that must be waited for: merging what managers own is one pure function, and only inside it
 * shows which object is needed in which version. So it is run until it lacks one, that one is fetched, and it is run again with it.
 */
import { cloneJson, type KubernetesObject } from "#machinery";

export interface Target {
  readonly groupVersion: string;
  convert(object: KubernetesObject): KubernetesObject | Promise<KubernetesObject>;
}

export type ConvertNow = (object: KubernetesObject, to: Target) => KubernetesObject;

class Missing {
  readonly fetched: Promise<void>;
  constructor(fetched: Promise<void>) {
    this.fetched = fetched;
  }
}

/** `run` must do the same each time. A promise only where a conversion is one. */
export function withConversions<T>(run: (convert: ConvertNow) => T): T | Promise<T> {
  const known = new Map<string, KubernetesObject>();
  const convert: ConvertNow = (object, to) => {
    // Made of what was converted before, it needs no second way.
    const key = known.size > 0 ? keyOf(object, to) : undefined;
    const found = key === undefined ? undefined : known.get(key);
    if (found) return cloneJson(found);
    const converted = to.convert(cloneJson(object));
    if (!(converted instanceof Promise)) return converted;
    throw new Missing(converted.then((result) => void known.set(key ?? keyOf(object, to), result)));
  };
  try {
    return run(convert);
  } catch (error) {
    if (error instanceof Missing) return again(run, convert, error);
    throw error;
  }
}

const keyOf = (object: KubernetesObject, { groupVersion }: Target): string =>
  `${groupVersion} ${JSON.stringify(object)}`;

async function again<T>(run: (convert: ConvertNow) => T, convert: ConvertNow, first: Missing): Promise<T> {
  for (let missing = first; ; ) {
    await missing.fetched;
    try {
      return run(convert);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      missing = error;
    }
  }
}
