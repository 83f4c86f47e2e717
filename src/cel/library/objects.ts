/**
 * Kubernetes' own types: quantities, addresses, URLs, named formats, versions (apiserver/pkg/cel/library). Errors carry
 * the words of the Go packages behind them.
 */

import {
  addQuantities,
  compareQuantities,
  isLabelValue,
  isQualifiedName,
  nameIsDns1035Label,
  nameIsDnsLabel,
  nameIsDnsSubdomain,
  parseQuantity,
  printQuantity,
  type Quantity,
  QuantityError,
  quantityFloat,
  quantityOf,
  subtractQuantities,
} from "#machinery";
import type { FunctionTable, Implementation, Library } from "../functions.ts";
import { int64Max, int64Min } from "../go-numbers.ts";
import type { RegexCompiler } from "../regex.ts";
import { parseDate } from "../time.ts";
import { type CelType, objectType, opaqueType } from "../types.ts";
import {
  ArrayList,
  CelError,
  CelObject,
  type CelValue,
  EntryMap,
  none,
  noSuchOverload,
  Optional,
  type Result,
} from "../values.ts";
import {
  type Address,
  addressText,
  contains,
  isGlobalUnicast,
  isLinkLocalMulticast,
  isLinkLocalUnicast,
  isLoopback,
  isUnspecified,
  masked,
  overlaps,
  parseAddress,
  parsePrefix,
  type Prefix,
  prefixText,
} from "./address.ts";
import { compareVersions, parseVersion, type Version, versionText } from "./semver.ts";
import { hostAndPort, parseUrl, queryValues, requestUriProblem, type Url, urlText } from "./url.ts";

/** A value with a type and a text, equal to others of its type as `same` says. */
class Wrapped<T> extends CelObject {
  readonly type: CelType;
  readonly value: T;
  readonly #kind: Kind<T>;

  constructor(kind: Kind<T>, value: T) {
    super();
    this.type = kind.type;
    this.value = value;
    this.#kind = kind;
  }
  equals(other: CelValue): boolean | CelError {
    if (!(other instanceof Wrapped) || other.type !== this.type) return noSuchOverload;
    return this.#kind.same(this.value, other.value as T); // the types are the same
  }
  override get size(): number | undefined {
    return this.#kind.size?.(this.value);
  }
  override text(): string {
    return this.#kind.text(this.value);
  }
  override toJson(): unknown {
    return this.text();
  }
}

interface Kind<T> {
  readonly type: CelType;
  text(value: T): string;
  same(a: T, b: T): boolean;
  /** For cost rules. */
  size?(value: T): number;
}

const quantityKind: Kind<Amount> = {
  type: objectType("kubernetes.Quantity"),
  text: printQuantity,
  same: (a, b) => compareQuantities(a, b) === 0,
};
const addressKind: Kind<Address> = {
  type: opaqueType("net.IP"),
  text: addressText,
  same: (a, b) => addressText(a) === addressText(b),
  size: (address) => address.length,
};
const prefixKind: Kind<Prefix> = {
  type: opaqueType("net.CIDR"),
  text: prefixText,
  same: (a, b) => prefixText(a) === prefixText(b),
  size: ({ bits }) => Math.ceil(bits / 8),
};
const urlKind: Kind<Url> = {
  type: objectType("kubernetes.URL"),
  text: urlText,
  same: (a, b) => urlText(a) === urlText(b),
};
const versionKind: Kind<Version> = {
  type: objectType("kubernetes.Semver"),
  text: versionText,
  same: (a, b) => compareVersions(a, b) === 0,
};

type QuantityValue = Wrapped<Amount>;
type AddressValue = Wrapped<Address>;
type PrefixValue = Wrapped<Prefix>;
type UrlValue = Wrapped<Url>;

/** A parsed value, or what is wrong with the text. */
const parsed = <T>(kind: Kind<T>, value: T | string): Wrapped<T> | CelError =>
  typeof value === "string" ? new CelError(value) : new Wrapped(kind, value);

/** The same function of one value for several names. */
const accessors = <T>(
  type: string,
  result: string,
  functions: Readonly<Record<string, readonly [id: string, apply: (value: T) => Result]>>,
): FunctionTable =>
  Object.fromEntries(
    Object.entries(functions).map(([name, [id, apply]]) => [
      name,
      { [`${id} .(${type}) ${result}`]: ((object: Wrapped<T>) => apply(object.value)) as Implementation },
    ]),
  );

/** `wide`: Go holds it as a big decimal and then doesn't take it for an integer, even if it is one. */
type Amount = Quantity & { readonly wide?: boolean };

/** Whether Go reads the text into a big decimal. */
function isWide(text: string, { format }: Quantity): boolean {
  const [, digits = "", fraction = "", suffix = ""] = /^[+-]?0*(\d*)\.?(\d*)(.*)$/.exec(text) ?? [];
  if (format !== "BinarySI") return digits.length + fraction.length > 18;
  const exponent = 10 * " KMGTPE".indexOf(suffix[0] ?? " ");
  return fraction !== "" || 15 - Math.max(digits.length, 1) - Math.trunc((exponent * 3) / 10) - 1 < 0;
}

function readQuantity(text: string): Amount | string {
  try {
    const quantity = parseQuantity(text);
    return isWide(text, quantity) ? { ...quantity, wide: true } : quantity;
  } catch (error) {
    if (error instanceof QuantityError) return error.message;
    throw error;
  }
}

/** undefined: no whole number of 64 bits. */
function wholeQuantity({ unscaled, scale, wide }: Amount): bigint | undefined {
  // Nor does Go shorten 1.0 to 1.
  if (wide || scale < 0) return undefined;
  const value = unscaled * 10n ** BigInt(scale);
  return value > int64Max || value < int64Min ? undefined : value;
}

/** A value of type kubernetes.Quantity. Throws QuantityError. */
export const createQuantity = (text: string): CelObject => sum(parseQuantity(text));

/** A value of type kubernetes.Semver; undefined when the text is none. */
export function createSemver(text: string): CelObject | undefined {
  const version = parseVersion(text);
  return typeof version === "string" ? undefined : new Wrapped(versionKind, version);
}

export const quantityType = quantityKind.type;
export const semverType = versionKind.type;

const quantityNotWhole = new CelError("cannot convert value to integer");
const sum = (value: Quantity, ...of: readonly Amount[]): QuantityValue =>
  new Wrapped<Amount>(quantityKind, of.some(({ wide }) => wide) ? { ...value, wide: true } : value);
const q = "kubernetes.Quantity";

export const quantityLibrary: Library = {
  since: 28,
  functions: {
    quantity: { [`string_to_quantity (string) ${q}`]: (text: string) => parsed(quantityKind, readQuantity(text)) },
    isQuantity: { "is_quantity_string (string) bool": (text: string) => typeof readQuantity(text) !== "string" },
    sign: {
      [`quantity_sign (${q}) int`]: ({ value }: QuantityValue) => BigInt(Math.sign(compareQuantities(value, "0"))),
    },
    ...comparisons<Quantity>(q, "quantity", compareQuantities),
    asApproximateFloat: { [`quantity_get_float .(${q}) double`]: ({ value }: QuantityValue) => quantityFloat(value) },
    asInteger: {
      [`quantity_get_int .(${q}) int`]: ({ value }: QuantityValue) => wholeQuantity(value) ?? quantityNotWhole,
    },
    isInteger: {
      [`quantity_is_integer .(${q}) bool`]: ({ value }: QuantityValue) => wholeQuantity(value) !== undefined,
    },
    add: {
      [`quantity_add .(${q}, ${q}) ${q}`]: (a: QuantityValue, b: QuantityValue) =>
        sum(addQuantities(a.value, b.value), a.value, b.value),
      [`quantity_add_int .(${q}, int) ${q}`]: (a: QuantityValue, b: bigint) =>
        sum(addQuantities(a.value, quantityOf(b)), a.value),
    },
    sub: {
      [`quantity_sub .(${q}, ${q}) ${q}`]: (a: QuantityValue, b: QuantityValue) =>
        sum(subtractQuantities(a.value, b.value), a.value, b.value),
      [`quantity_sub_int .(${q}, int) ${q}`]: (a: QuantityValue, b: bigint) =>
        sum(subtractQuantities(a.value, quantityOf(b)), a.value),
    },
  },
};

function comparisons<T>(type: string, id: string, compare: (a: T, b: T) => number): FunctionTable {
  type Value = Wrapped<T>;
  return {
    isGreaterThan: {
      [`${id}_is_greater_than .(${type}, ${type}) bool`]: (a: Value, b: Value) => compare(a.value, b.value) > 0,
    },
    isLessThan: {
      [`${id}_is_less_than .(${type}, ${type}) bool`]: (a: Value, b: Value) => compare(a.value, b.value) < 0,
    },
    compareTo: {
      [`${id}_compare_to .(${type}, ${type}) int`]: (a: Value, b: Value) =>
        BigInt(Math.sign(compare(a.value, b.value))),
    },
  };
}

export const ipLibrary: Library = {
  since: 30,
  types: [addressKind.type],
  functions: {
    ip: { "string_to_ip (string) net.IP": (text: string) => parsed(addressKind, parseAddress(text)) },
    "ip.isCanonical": {
      "ip_is_canonical (string) bool": (text: string) => {
        const address = parseAddress(text);
        return typeof address === "string" ? new CelError(address) : addressText(address) === text;
      },
    },
    isIP: { "is_ip (string) bool": (text: string) => typeof parseAddress(text) !== "string" },
    string: { "ip_to_string (net.IP) string": ({ value }: AddressValue) => addressText(value) },
    ...accessors<Address>("net.IP", "int", { family: ["ip_family", (ip) => (ip.length === 4 ? 4n : 6n)] }),
    ...accessors<Address>("net.IP", "bool", {
      isUnspecified: ["ip_is_unspecified", isUnspecified],
      isLoopback: ["ip_is_loopback", isLoopback],
      isLinkLocalMulticast: ["ip_is_link_local_multicast", isLinkLocalMulticast],
      isLinkLocalUnicast: ["ip_is_link_local_unicast", isLinkLocalUnicast],
      isGlobalUnicast: ["ip_is_global_unicast", isGlobalUnicast],
    }),
  },
};

const readPrefix = (text: string): PrefixValue | CelError => {
  const prefix = parsePrefix(text);
  return parsed(prefixKind, typeof prefix === "string" ? `network address ${parseErrorPrefix}${prefix}` : prefix);
};
const parseErrorPrefix = "parse error during conversion from string: ";

const isWithin = (outer: Prefix, inner: Prefix): boolean => overlaps(outer, inner) && outer.bits <= inner.bits;

export const cidrLibrary: Library = {
  since: 30,
  types: [prefixKind.type],
  functions: {
    cidr: { "string_to_cidr (string) net.CIDR": readPrefix },
    isCIDR: { "is_cidr (string) bool": (text: string) => typeof parsePrefix(text) !== "string" },
    containsIP: {
      "cidr_contains_ip_string .(net.CIDR, string) bool": ({ value }: PrefixValue, text: string) => {
        const address = parseAddress(text);
        // Go asks for the overload of the other argument, and gets its error.
        return typeof address === "string" ? noSuchOverload : contains(value, address);
      },
      "cidr_contains_ip_ip .(net.CIDR, net.IP) bool": ({ value }: PrefixValue, ip: AddressValue) =>
        contains(value, ip.value),
    },
    containsCIDR: {
      "cidr_contains_cidr_string .(net.CIDR, string) bool": ({ value }: PrefixValue, text: string) => {
        const other = readPrefix(text);
        return other instanceof CelError ? other : isWithin(value, other.value);
      },
      "cidr_contains_cidr .(net.CIDR, net.CIDR) bool": ({ value }: PrefixValue, other: PrefixValue) =>
        isWithin(value, other.value),
    },
    ...accessors<Prefix>("net.CIDR", "net.IP", {
      ip: ["cidr_ip", ({ address }) => new Wrapped(addressKind, address)],
    }),
    ...accessors<Prefix>("net.CIDR", "int", { prefixLength: ["cidr_prefix_length", ({ bits }) => BigInt(bits)] }),
    ...accessors<Prefix>("net.CIDR", "net.CIDR", {
      masked: ["cidr_masked", (prefix) => new Wrapped(prefixKind, masked(prefix))],
    }),
    string: { "cidr_to_string (net.CIDR) string": ({ value }: PrefixValue) => prefixText(value) },
  },
};

function readUrl(text: string): UrlValue | CelError {
  const problem = requestUriProblem(text);
  const url = problem ?? parseUrl(text);
  return typeof url === "string" ? new CelError(`URL ${parseErrorPrefix}${url}`) : new Wrapped(urlKind, url);
}

function queryMap(url: Url): Result {
  const map = new EntryMap();
  for (const [key, values] of queryValues(url)) map.set(key, new ArrayList(values));
  return map;
}

export const urlLibrary: Library = {
  functions: {
    url: { "string_to_url (string) kubernetes.URL": readUrl },
    isURL: { "is_url_string (string) bool": (text: string) => requestUriProblem(text) === undefined },
    ...accessors<Url>("kubernetes.URL", "string", {
      getScheme: ["url_get_scheme", ({ scheme }) => scheme],
      getHost: ["url_get_host", ({ host }) => host],
      getHostname: ["url_get_hostname", (url) => hostAndPort(url).name],
      getPort: ["url_get_port", (url) => hostAndPort(url).port],
      getEscapedPath: ["url_get_escaped_path", ({ path }) => path],
    }),
    ...accessors<Url>("kubernetes.URL", "map(string, list(string))", { getQuery: ["url_get_query", queryMap] }),
  },
};

const v = "kubernetes.Semver";

export const semverLibrary: Library = {
  since: 33,
  functions: {
    semver: {
      [`string_to_semver (string) ${v}`]: (text: string) => parsed(versionKind, parseVersion(text)),
      [`string_bool_to_semver (string, bool) ${v}`]: (text: string, normalize: boolean) =>
        parsed(versionKind, parseVersion(text, normalize)),
    },
    isSemver: {
      "is_semver_string (string) bool": (text: string) => typeof parseVersion(text) !== "string",
      "is_semver_string_bool (string, bool) bool": (text: string, normalize: boolean) =>
        typeof parseVersion(text, normalize) !== "string",
    },
    ...comparisons<Version>(v, "semver", compareVersions),
    ...accessors<Version>(v, "int", {
      major: ["semver_major", ({ major }) => BigInt.asIntN(64, major)],
      minor: ["semver_minor", ({ minor }) => BigInt.asIntN(64, minor)],
      patch: ["semver_patch", ({ patch }) => BigInt.asIntN(64, patch)],
    }),
  },
};

/** A named format; its pattern's length is what validating costs. */
class Format extends CelObject {
  readonly type = formatType;
  readonly name: string;
  readonly regexSize: number;
  readonly check: (text: string) => readonly string[];
  constructor(name: string, regexSize: number, check: (text: string) => readonly string[]) {
    super();
    this.name = name;
    this.regexSize = regexSize;
    this.check = check;
  }
  equals(other: CelValue): boolean | CelError {
    return other instanceof Format ? other.name === this.name : noSuchOverload;
  }
  override text(): string {
    return this.name;
  }
}
const formatType = objectType("kubernetes.NamedFormat");

const uuid = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;
const clock = /^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:.\d+)?(?:z|[+-]\d\d:\d\d)$/;
/** Lengths of upstream's patterns. */
const uuidPatternLength = 70;
const dateTimePatternLength = 71;

function isDateTime(text: string): boolean {
  const [date = "", time = ""] = text.toLowerCase().split("t");
  return parseDate(date) !== undefined && clock.test(time);
}

const unless = (test: (text: string) => boolean, complaint: string) => (text: string) =>
  test(text) ? [] : [complaint];

const formats: Readonly<Record<string, Format>> = Object.fromEntries(
  (
    [
      ["dns1123Label", "DNS1123Label", 30, (text) => nameIsDnsLabel(text, false)],
      ["dns1123Subdomain", "DNS1123Subdomain", 60, (text) => nameIsDnsSubdomain(text, false)],
      ["dns1035Label", "DNS1035Label", 30, (text) => nameIsDns1035Label(text, false)],
      ["qualifiedName", "QualifiedName", 60, isQualifiedName],
      ["dns1123LabelPrefix", "DNS1123LabelPrefix", 30, (text) => nameIsDnsLabel(text, true)],
      ["dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", 60, (text) => nameIsDnsSubdomain(text, true)],
      ["dns1035LabelPrefix", "DNS1035LabelPrefix", 30, (text) => nameIsDns1035Label(text, true)],
      ["labelValue", "LabelValue", 40, isLabelValue],
      ["uri", "URI", 1103, (text) => [requestUriProblem(text) ?? []].flat()],
      ["uuid", "uuid", uuidPatternLength, unless((text) => uuid.test(text), "does not match the UUID format")],
      ["byte", "byte", 84, unless((text) => base64.test(text), "invalid base64")],
      ["date", "date", dateTimePatternLength, unless((text) => parseDate(text) !== undefined, "invalid date")],
      ["datetime", "datetime", dateTimePatternLength, unless(isDateTime, "invalid datetime")],
    ] satisfies [string, string, number, (text: string) => readonly string[]][]
  ).map(([key, name, size, check]) => [key, new Format(name, size, check)]),
);

export const formatLibrary: Library = {
  since: 31,
  functions: {
    validate: {
      "format-validate .(kubernetes.NamedFormat, string) optional(list(string))": (format: Format, text: string) => {
        const problems = format.check(text);
        return problems.length === 0 ? none : new Optional(new ArrayList(problems));
      },
    },
    "format.named": {
      "format-named (string) optional(kubernetes.NamedFormat)": (name: string) =>
        Object.hasOwn(formats, name) ? new Optional(formats[name]) : none,
    },
    ...Object.fromEntries(
      Object.entries(formats).map(([key, format]) => [
        `format.${key}`,
        { [`format.${key} () kubernetes.NamedFormat`]: () => format },
      ]),
    ),
  },
};

export function regexLibrary(regex: RegexCompiler): Library {
  const search = (
    pattern: string,
    apply: (compiled: Exclude<ReturnType<RegexCompiler>, CelError>) => Result,
  ): Result => {
    const compiled = regex(pattern);
    return compiled instanceof CelError ? new CelError(`Illegal regex: ${compiled.message}`) : apply(compiled);
  };
  const findAll = (text: string, pattern: string, limit = -1n): Result =>
    search(pattern, (compiled) => new ArrayList(compiled.findAll(text, Number(limit))));
  return {
    functions: {
      find: {
        "string_find_string .(string, string) string": (text: string, pattern: string) =>
          search(pattern, (compiled) => compiled.find(text)),
      },
      findAll: {
        "string_find_all_string .(string, string) list(string)": findAll,
        "string_find_all_string_int .(string, string, int) list(string)": findAll,
      },
    },
  };
}
