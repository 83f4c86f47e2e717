/** What the devices of a claim must have in common, or not. */
import type { DeviceAttribute, DeviceConstraint } from "#api";
import type { DeepReadonly } from "#machinery";
import type { ReadonlyDevice } from "./pools.ts";

export interface Constraint {
  /** Whether a device may be added for a request; it counts then. */
  add(request: RequestName, device: ReadonlyDevice, driver: string): boolean;
  /** Undoes the last `add` of the same. */
  remove(request: RequestName): void;
}

/** `alternative`: `request/alternative`, where there are some. */
export interface RequestName {
  readonly base: string;
  readonly alternative?: string | undefined;
}

type Attribute = DeepReadonly<DeviceAttribute>;

/** Domain and name; the driver's own may lack the domain. */
function attributeOf({ attributes = {} }: ReadonlyDevice, name: string, driver: string): Attribute | undefined {
  if (Object.hasOwn(attributes, name)) return attributes[name];
  const slash = name.indexOf("/");
  if (slash < 0 || name.slice(0, slash) !== driver) return undefined;
  const own = name.slice(slash + 1);
  return Object.hasOwn(attributes, own) ? attributes[own] : undefined;
}

const types = ["string", "int", "bool", "version"] as const;
const typeOf = (attribute: Attribute) => types.find((type) => attribute[type] !== undefined);

const isEqual = (a: Attribute, b: Attribute): boolean => {
  const type = typeOf(a);
  return type !== undefined && a[type] === b[type];
};

export function createConstraint(constraint: DeepReadonly<DeviceConstraint>): Constraint | undefined {
  const { requests = [], matchAttribute, distinctAttribute } = constraint;
  const name = matchAttribute ?? distinctAttribute;
  if (name === undefined) return undefined;
  const names = new Set(requests);
  const applies = ({ base, alternative }: RequestName) =>
    names.size === 0 || names.has(base) || (alternative !== undefined && names.has(alternative));
  let count = 0;
  let common: Attribute = {};
  // Upstream remembers the last device of each request; two of the same request may have the same value if one lies between.
  const seen = new Map<string, Attribute>();

  return {
    add(request, device, driver) {
      if (!applies(request)) return true;
      const attribute = attributeOf(device, name, driver);
      if (!attribute) return false;
      if (count === 0) common = attribute;
      else if (matchAttribute !== undefined) {
        if (!isEqual(attribute, common)) return false;
      } else if (typeOf(attribute) === undefined || seen.values().some((each) => isEqual(attribute, each)))
        return false;
      seen.set(request.base, attribute);
      count++;
      return true;
    },
    remove(request) {
      if (!applies(request)) return;
      seen.delete(request.base);
      count--;
    },
  };
}
