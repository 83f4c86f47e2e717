/** /statusz and /flagz: what runs here, since when, and with which flags; for people as text, for programs as JSON. Upstream's zpages. */
import { statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import type { ResponseHeaders } from "../http/exchange.ts";
import { type PathHandler, sniffedAnswer } from "../paths.ts";

export interface StatusPageOptions {
  /** `apiserver` */
  readonly component: string;
  /** `1.36` */
  readonly version: string;
  readonly flags: Readonly<Record<string, string>>;
  /** Other pages worth a look. */
  paths(): readonly string[];
}

/** Served, and whether they are on their way out. */
const versions: Readonly<Record<string, boolean>> = { v1beta1: false, v1alpha1: true };

export function statusPages(options: StatusPageOptions): ReadonlyMap<string, PathHandler> {
  const { component, flags } = options;
  return new Map([
    page("Statusz", { component, text: () => statusText(options), fields: () => statusFields(options) }),
    page("Flagz", {
      component,
      text: () =>
        Object.entries(flags)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, value]) => `${name}=${value}\n`)
          .join(""),
      fields: () => ({ flags }),
    }),
  ]);
}

interface Page {
  readonly component: string;
  text(): string;
  fields(): object;
}

function page(kind: "Statusz" | "Flagz", { component, text, fields }: Page): [string, PathHandler] {
  const name = kind.toLowerCase();
  const warning =
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.";
  return [
    name,
    ({ parts, accept = "" }): Answer | undefined => {
      if (parts.length > 1) return undefined;
      const asked = chosen(accept, kind);
      if (asked === "text") return sniffedAnswer(`\n${component} ${name}\n${warning}\n${text()}`);
      if (asked === undefined) throw statusError.notAcceptable(["application/json", "application/yaml", "text/plain"]);
      const { version } = asked;
      const apiVersion = `config.k8s.io/${version}`;
      const value = { kind, apiVersion, metadata: { name: component }, ...fields() };
      const headers: ResponseHeaders = versions[version]
        ? { warning: `299 - "This version of the ${name} endpoint is deprecated. Please use a newer version."` }
        : {};
      const body = `${JSON.stringify(value)}\n`;
      return { type: "raw", status: 200, headers: { "content-type": "application/json", ...headers }, body };
    },
  ];
}

/** The first of what the client takes that this page has. */
function chosen(accept: string, kind: string): "text" | { version: string } | undefined {
  if (accept.trim() === "") return "text";
  for (const clause of accept.split(",")) {
    const [type = "", ...parameters] = clause.split(";").map((part) => part.trim());
    if (type === "text/plain" || type === "text/*" || type === "*/*") return "text";
    const wanted = new Map(parameters.map((each) => each.split("=") as [string, string]));
    const version = wanted.get("v") ?? "";
    const fits = wanted.get("g") === "config.k8s.io" && wanted.get("as") === kind && Object.hasOwn(versions, version);
    if (type === "application/json" && fits) return { version };
  }
  return undefined;
}

const startedAt = (): Date => new Date(Math.floor(performance.timeOrigin / 1000) * 1000);
const upSeconds = (): number => Math.floor(performance.now() / 1000);

function statusFields({ version, paths }: StatusPageOptions): object {
  return {
    startTime: startedAt().toISOString().replace(".000Z", "Z"),
    uptimeSeconds: upSeconds(),
    goVersion: `node ${process.version}`,
    binaryVersion: `${version}.0`,
    emulationVersion: version,
    paths: [...paths()].sort(),
  };
}

/** As Go's layout of that name: `Mon Jan  2 15:04:05 UTC 2006`. */
function unixDate(date: Date): string {
  const [weekday = "", day = "", month = "", year = "", time = ""] = date.toUTCString().split(/,? /);
  return `${weekday} ${month} ${day.replace(/^0/, " ")} ${time} UTC ${year}`;
}

function statusText({ version, paths }: StatusPageOptions): string {
  const up = upSeconds();
  const two = (value: number) => String(value).padStart(2, "0");
  const rows = [
    ["Started", unixDate(startedAt())],
    ["Up", `${Math.floor(up / 3600)} hr ${two(Math.floor(up / 60) % 60)} min ${two(up % 60)} sec`],
    ["Go version", `node ${process.version}`],
    ["Binary version", version],
    ["Emulation version", version],
    ["Paths", [...paths()].sort().join(" ")],
  ];
  return `\n${rows.map(([name, value]) => `${name}: ${value}\n`).join("")}`;
}
