/**
 * Selectors of devices: expressions over `device`, compiled when an object with some is written, and by the scheduler. Follows
 * dynamic-resource-allocation/cel. `loadCel` comes first.
 */
import type { CelMap, CelValue, DeclType, Environment, Program, SizeEstimator } from "#cel";
import type { DeepReadonly } from "#machinery";
import { celEngine } from "../cel-engine.ts";
import type { Place } from "../place.ts";
import type { Device, DeviceAttribute } from "../types.d.ts";

/** Most that one evaluation may cost; what could cost more is refused when it is written. */
const costMax = 1_000_000;
/** New expressions must survive a step back to the release before. */
const newExpressionsVersion = "1.35";
const [domainBytesMax, idBytesMax, valueBytesMax, propertiesMax] = [63, 32, 64, 32];

type Compiled =
  | { readonly program: Program; readonly error?: undefined }
  | { readonly program?: undefined; readonly error: string };

// One for all, like the engine.
const environments = new Map<string, Environment>();
const shared: { deviceType?: DeclType } = {};

function declareDevice(): DeclType {
  if (shared.deviceType) return shared.deviceType;
  const { anyType, boolType, mapType, objectType, quantityType, stringType } = celEngine();
  const sized = (name: string, celType: DeclType["celType"], maxElements: number) => ({
    name,
    celType,
    maxElements,
    minSerializedSize: 0,
  });
  const mapOf = (keyBytesMax: number, element: DeclType): DeclType => ({
    ...sized("map", mapType(stringType, element.celType), propertiesMax),
    key: sized("string", stringType, keyBytesMax),
    element,
  });
  const perDomain = (element: DeclType) => mapOf(domainBytesMax, mapOf(idBytesMax, element));
  const fields = new Map<string, DeclType>([
    ["driver", sized("string", stringType, domainBytesMax)],
    ["allowMultipleAllocations", sized("bool", boolType, 1)],
    ["attributes", perDomain(sized("any", anyType, valueBytesMax))],
    ["capacity", perDomain(sized("quantity", quantityType, 0))],
  ]);
  shared.deviceType = {
    ...sized("object", objectType("kubernetes.DRADevice"), 0),
    name: "kubernetes.DRADevice",
    fields,
  };
  return shared.deviceType;
}

function environmentOf(version: string | undefined): Environment {
  const key = version ?? "";
  const known = environments.get(key);
  if (known) return known;
  const device = declareDevice();
  const made = celEngine()
    .createEnvironment(version === undefined ? {} : { version })
    .extend({ variables: { device: device.celType }, declTypes: [device], libraries: ["bindings"] });
  environments.set(key, made);
  return made;
}

/** Of attributes all have the same bound, whatever they are called. */
export const estimateDeviceSize: SizeEstimator = ({ path: [root, ...parts] }) => {
  if (root !== "device") return undefined;
  let type: DeclType | undefined = declareDevice();
  for (const part of parts) {
    if (part === "@items" || part === "@values") type = type?.element;
    else if (part === "@keys") type = type?.key;
    else type = type?.fields?.get(part) ?? (type?.element?.name === "any" ? type.element : undefined);
  }
  return type && { min: 0, max: type.maxElements };
};

/** Without `isNew` it was accepted before, perhaps by a newer release. */
export function compileDeviceExpression(source: string, { isNew = false } = {}): Compiled {
  const { anyType, boolType, sameType } = celEngine();
  const compiled = environmentOf(isNew ? newExpressionsVersion : undefined).compile(source);
  if (!compiled.program) {
    const stage = compiled.stage === "program" ? "program instantiation failed" : "compilation failed";
    return { error: `${stage}: ${compiled.issues}` };
  }
  const { outputType } = compiled.program;
  if (sameType(outputType, boolType) || sameType(outputType, anyType)) return compiled;
  return { error: `must evaluate to bool or the unknown type, not ${outputType}` };
}

export function validateDeviceExpression(source: string, at: Place, isNew: boolean): void {
  const { program, error } = compileDeviceExpression(source, { isNew });
  if (!program) at.invalid(source, error);
  else if (program.estimateCost(estimateDeviceSize).max > costMax) at.forbidden("too complex, exceeds cost limit");
}

type SelectableDevice = DeepReadonly<Pick<Device, "attributes" | "capacity" | "allowMultipleAllocations">>;

/** What `device` is for a device; made once, asked by many expressions. Throws if an attribute can't be read. */
export function deviceValue(driver: string, device: SelectableDevice): CelValue {
  const { createQuantity, EntryMap } = celEngine();
  const attributes = perDomain(driver, device.attributes, readAttribute);
  const capacity = perDomain(driver, device.capacity, ({ value }) => createQuantity(value));
  return new EntryMap()
    .set("driver", driver)
    .set("allowMultipleAllocations", device.allowMultipleAllocations ?? false)
    .set("attributes", attributes)
    .set("capacity", capacity);
}

function readAttribute({ int, bool, string, version }: DeepReadonly<DeviceAttribute>, name: string): CelValue {
  if (int !== undefined) return BigInt(int);
  if (bool !== undefined) return bool;
  if (string !== undefined) return string;
  const semver = version === undefined ? undefined : celEngine().createSemver(version);
  if (semver) return semver;
  throw new Error(
    `attribute ${name}: ${version === undefined ? "unsupported attribute value" : "parse semantic version: Invalid character(s) found"}`,
  );
}

/** Names without a domain are of the driver's. A domain that the device doesn't have is an empty map. */
function perDomain<T>(
  driver: string,
  entries: Readonly<Record<string, T>> | undefined,
  read: (value: T, name: string) => CelValue,
): CelMap {
  const { EntryMap } = celEngine();
  class WithDefault extends EntryMap {
    override find(key: CelValue): CelValue | undefined {
      return super.find(key) ?? empty;
    }
    override has(key: CelValue): boolean {
      return super.find(key) !== undefined;
    }
  }
  const empty = new EntryMap();
  const domains = new WithDefault();
  for (const [name, value] of Object.entries(entries ?? {})) {
    const slash = name.indexOf("/");
    const domain = slash < 0 ? driver : name.slice(0, slash);
    const found = domains.has(domain) ? domains.find(domain) : undefined;
    const ids = found instanceof EntryMap ? found : new EntryMap();
    domains.set(domain, ids.set(name.slice(slash + 1), read(value, name)));
  }
  return domains;
}

/** Whether the expression is true of the device; throws what it fails with. */
export function matchesDevice(program: Program, device: CelValue): boolean {
  const { error, value } = program.evaluate({ device }, { costLimit: costMax });
  if (error) throw new Error(error.message);
  if (typeof value === "boolean") return value;
  const { typeOf } = celEngine();
  throw new Error(
    `CEL result of type ${typeOf(value).name} could not be converted to bool: type conversion error from '${typeOf(value).name}' to 'bool'`,
  );
}
