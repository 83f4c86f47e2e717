/**
 * The formats of names: what upstream's util/validation and api/validate/content check, with the messages clients see (1.36).
 * Each check answers the list of what is wrong; an empty list means the value is fine.
 * Lengths count bytes of UTF-8, as Go's `len` does.
 */

/** The messages of one check; shared when empty, so never push into it. */
export type Messages = string[];

export const dns1123LabelLengthMax = 63;
export const dns1123SubdomainLengthMax = 253;
export const dns1035LabelLengthMax = 63;
export const labelValueLengthMax = 63;
const labelKeyNameLengthMax = 63;
const portNameLengthMax = 15;
/** What libcontainer takes, which is less than Linux has. */
const userIdMax = 2 ** 31 - 1;

interface Format {
  readonly text: string;
  readonly regexp: RegExp;
  readonly message: string;
}

function format(text: string, message: string): Format {
  return { text, regexp: new RegExp(`^${text}$`), message };
}

const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const labelWithUnderscore = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const qualifiedName = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const ends = "and must start and end with an alphanumeric character";

const dns1123LabelFormat = format(
  label,
  `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', ${ends}`,
);
const dns1123SubdomainFormat = format(
  `${label}(\\.${label})*`,
  `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ${ends}`,
);
const dns1123SubdomainCaselessFormat: Format = {
  text: dns1123SubdomainFormat.text,
  regexp: new RegExp(`^${dns1123SubdomainFormat.text}$`, "i"),
  message: `an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', ${ends}`,
};
const dns1123SubdomainWithUnderscoreFormat = format(
  `${labelWithUnderscore}(\\.${labelWithUnderscore})*`,
  `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', ${ends}`,
);
const wildcardDns1123SubdomainFormat = format(
  `\\*\\.${dns1123SubdomainFormat.text}`,
  "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
);
const dns1035LabelFormat = format(
  "[a-z]([-a-z0-9]*[a-z0-9])?",
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
);
const labelKeyFormat = format(qualifiedName, `must consist of alphanumeric characters, '-', '_' or '.', ${ends}`);
const labelValueFormat = format(
  `(${qualifiedName})?`,
  `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', ${ends}`,
);
const cIdentifierFormat = format(
  "[A-Za-z_][A-Za-z0-9_]*",
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
);
const percentFormat = format("[0-9]+%", "a valid percent string must be a numeric string followed by an ending '%'");
const httpHeaderNameFormat = format(
  "[-A-Za-z0-9]+",
  "a valid HTTP header must consist of alphanumeric characters or '-'",
);
const environmentNameFormat = format(
  "[-._a-zA-Z][-._a-zA-Z0-9]*",
  "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
);
const configMapKeyFormat = format(
  "[-._a-zA-Z0-9]+",
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
);
const conditionReasonFormat = format(
  "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
);
const httpPathFormat = format("[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+", "Invalid path");

/** Says which pattern a value misses, with examples of values that match. */
export function regexpMessage(message: string, pattern: string, ...examples: string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${pattern}')`;
  const list = examples.map((example) => `'${example}', `).join(" or ");
  return `${message} (e.g. ${list}regex used for validation is '${pattern}')`;
}

export const lengthMessage = (charactersMax: number): string => `must be no more than ${charactersMax} characters`;
const bytesMessage = (bytesMax: number): string => `must be no more than ${bytesMax} bytes`;
export const emptyMessage = "must be non-empty";
export const rangeMessage = (min: number, max: number): string => `must be between ${min} and ${max}, inclusive`;

export function longerThan(value: string, bytesMax: number): boolean {
  // One UTF-16 unit is at most three bytes: short values need no count.
  return value.length > bytesMax || (value.length * 3 > bytesMax && Buffer.byteLength(value) > bytesMax);
}

function check(value: string, { text, regexp, message }: Format, ...examples: string[]): Messages {
  return regexp.test(value) ? [] : [regexpMessage(message, text, ...examples)];
}

function bounded(value: string, lengthMax: number, rest: Messages): Messages {
  return longerThan(value, lengthMax) ? [lengthMessage(lengthMax), ...rest] : rest;
}

export function isDns1123Label(value: string): Messages {
  const rest =
    !dns1123LabelFormat.regexp.test(value) && dns1123SubdomainFormat.regexp.test(value)
      ? ["must not contain dots"]
      : check(value, dns1123LabelFormat, "my-name", "123-abc");
  return bounded(value, dns1123LabelLengthMax, rest);
}

export function isDns1123Subdomain(value: string): Messages {
  return bounded(value, dns1123SubdomainLengthMax, check(value, dns1123SubdomainFormat, "example.com"));
}

export function isDns1123SubdomainCaseless(value: string): Messages {
  const rest = check(value, dns1123SubdomainCaselessFormat, "Example.com");
  return longerThan(value, dns1123SubdomainLengthMax) ? [bytesMessage(dns1123SubdomainLengthMax), ...rest] : rest;
}

export function isDns1123SubdomainWithUnderscore(value: string): Messages {
  return bounded(value, dns1123SubdomainLengthMax, check(value, dns1123SubdomainWithUnderscoreFormat, "example.com"));
}

export function isWildcardDns1123Subdomain(value: string): Messages {
  return bounded(value, dns1123SubdomainLengthMax, check(value, wildcardDns1123SubdomainFormat, "*.example.com"));
}

export function isDns1035Label(value: string): Messages {
  return bounded(value, dns1035LabelLengthMax, check(value, dns1035LabelFormat, "my-name", "abc-123"));
}

const labelKeyExamples = ["MyName", "my.name", "123-abc"];

/** A label key, annotation key, finalizer or other `[prefix/]name`. */
export function isQualifiedName(value: string): Messages {
  const parts = value.split("/");
  if (parts.length > 2) {
    const pattern = regexpMessage(labelKeyFormat.message, labelKeyFormat.text, ...labelKeyExamples);
    return [`a valid label key ${pattern} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const name = parts.at(-1) ?? "";
  const messages: string[] = [];
  if (parts.length === 2) {
    const prefix = parts[0] ?? "";
    if (prefix === "") messages.push(`prefix part ${emptyMessage}`);
    else {
      if (longerThan(prefix, dns1123SubdomainLengthMax)) {
        messages.push(`prefix part ${bytesMessage(dns1123SubdomainLengthMax)}`);
      }
      for (const message of check(prefix, dns1123SubdomainFormat, "example.com")) {
        messages.push(`prefix part ${message}`);
      }
    }
  }
  if (name === "") messages.push(`name part ${emptyMessage}`);
  else if (longerThan(name, labelKeyNameLengthMax)) messages.push(`name part ${bytesMessage(labelKeyNameLengthMax)}`);
  for (const message of check(name, labelKeyFormat, ...labelKeyExamples)) messages.push(`name part ${message}`);
  return messages.length === 0 ? [] : messages;
}

export function isLabelValue(value: string): Messages {
  const rest = check(value, labelValueFormat, "MyValue", "my_value", "12345");
  return longerThan(value, labelValueLengthMax) ? [bytesMessage(labelValueLengthMax), ...rest] : rest;
}

/** At least three segments; `foo.example.com`. The empty name is the caller's "required". */
export function isFullyQualifiedName(value: string): Messages {
  const messages = isDns1123Subdomain(value);
  if (messages.length > 0) return [messages.join(",")];
  return value.split(".").length < 3 ? ["should be a domain with at least three segments separated by dots"] : [];
}

/** At least two segments, a trailing dot allowed. The value in an error is the part that is wrong. */
export function isFullyQualifiedDomainName(value: string): { value: string; message: string } | undefined {
  const name = value.endsWith(".") ? value.slice(0, -1) : value;
  const messages = isDns1123Subdomain(name);
  if (messages.length > 0) return { value: name, message: messages.join(",") };
  const labels = name.split(".");
  if (labels.length < 2) {
    return { value: name, message: "should be a domain with at least two segments separated by dots" };
  }
  for (const part of labels) {
    const wrong = isDns1123Label(part);
    if (wrong.length > 0) return { value: part, message: wrong.join(",") };
  }
  return undefined;
}

/** `example.com/path`; each message comes with the part it is about. */
export function isDomainPrefixedPath(value: string): { value: string; message: string }[] {
  const slash = value.indexOf("/");
  const host = value.slice(0, Math.max(0, slash));
  const path = value.slice(slash + 1);
  if (host === "" || path === "") {
    return [{ value, message: 'must be a domain-prefixed path (such as "acme.io/foo")' }];
  }
  return [
    ...isDns1123Subdomain(host).map((message) => ({ value: host, message })),
    ...check(path, httpPathFormat).map((message) => ({ value: path, message })),
  ];
}

export function isDomainPrefixedKey(value: string): Messages {
  const messages = isQualifiedName(value);
  if (messages.length > 0) return messages;
  return value.includes("/") ? [] : ['must be a domain-prefixed key (such as "acme.io/foo")'];
}

export function isCIdentifier(value: string): Messages {
  return check(value, cIdentifierFormat, "my_name", "MY_NAME", "MyName");
}

export function isInRange(value: number, { min, max }: { min: number; max: number }): Messages {
  return value >= min && value <= max ? [] : [rangeMessage(min, max)];
}

export const isPortNumber = (port: number): Messages => isInRange(port, { min: 1, max: 65535 });
export const isUserId = (id: number): Messages => isInRange(id, { min: 0, max: userIdMax });
export const isGroupId = isUserId;

export function isPortName(value: string): Messages {
  const messages: string[] = [];
  if (longerThan(value, portNameLengthMax)) messages.push(lengthMessage(portNameLengthMax));
  if (!/^[-a-z0-9]+$/.test(value)) {
    messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!/[a-z]/.test(value)) messages.push("must contain at least one letter (a-z)");
  if (value.includes("--")) messages.push("must not contain consecutive hyphens");
  if (value.startsWith("-") || value.endsWith("-")) messages.push("must not begin or end with a hyphen");
  return messages;
}

export const isPercent = (value: string): Messages => check(value, percentFormat, "1%", "93%");

export const isHttpHeaderName = (value: string): Messages => check(value, httpHeaderNameFormat, "X-Header-Name");

/** The old, narrow rule for environment variables. */
export function isEnvironmentName(value: string): Messages {
  const messages = check(value, environmentNameFormat, "my.env-name", "MY_ENV.NAME", "MyEnvName1");
  return [...messages, ...parentFolderPrefix(value)];
}

/** The rule since 1.30 (relaxed environment variable validation): printable ASCII except '='. */
export function isRelaxedEnvironmentName(value: string): Messages {
  if (value === "") return [`environment variable name ${emptyMessage}`];
  return /^[ -<>-~]*$/.test(value)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}

/** A key of a ConfigMap or Secret; also a file name when mounted. */
export function isConfigMapKey(value: string): Messages {
  const messages = check(value, configMapKeyFormat, "key.name", "KEY_NAME", "key-name");
  return bounded(value, dns1123SubdomainLengthMax, [...messages, ...parentFolderPrefix(value)]);
}

export function isConditionReason(value: string): Messages {
  return check(value, conditionReasonFormat, "my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB");
}

function parentFolderPrefix(value: string): Messages {
  if (value === ".") return ["must not be '.'"];
  if (value === "..") return ["must not be '..'"];
  return value.startsWith("..") ? ["must not start with '..'"] : [];
}

/** A name that may stand in a URL path: the least that every object's name must be. */
export function isPathSegmentName(value: string): Messages {
  return value === "." || value === ".." ? [`may not be '${value}'`] : isPathSegmentPrefix(value);
}

/** What `isPathSegmentName` asks of the start of a name, for generateName. */
export function isPathSegmentPrefix(value: string): Messages {
  return ["/", "%"].filter((part) => value.includes(part)).map((part) => `may not contain '${part}'`);
}

/** Digits without leading zeros, an optional minus. */
export function isDecimalInteger(value: string): Messages {
  if (value === "") return [emptyMessage];
  return /^(0|-?[1-9][0-9]*)$/.test(value) ? [] : ["must be a valid decimal integer in canonical form"];
}

/**
 * Checks a name (`prefix` false) or a generateName, whose trailing dash is replaced by a random suffix (`prefix` true).
 * Kinds choose one of the three below, or their own.
 */
export type NameCheck = (name: string, prefix: boolean) => Messages;

export const nameIsDnsSubdomain: NameCheck = (name, prefix) =>
  isDns1123Subdomain(prefix ? withoutTrailingDash(name) : name);
export const nameIsDnsLabel: NameCheck = (name, prefix) => isDns1123Label(prefix ? withoutTrailingDash(name) : name);
export const nameIsDns1035Label: NameCheck = (name, prefix) =>
  isDns1035Label(prefix ? withoutTrailingDash(name) : name);
/** For kinds that allow nearly everything, like the roles of RBAC. */
export const nameIsPathSegment: NameCheck = (name, prefix) =>
  prefix ? isPathSegmentPrefix(name) : isPathSegmentName(name);

// Upstream drops the last two characters here; kept, as "a.-" is refused or allowed accordingly.
function withoutTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith("-") ? `${name.slice(0, -2)}a` : name;
}
