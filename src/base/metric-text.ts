/**
 * Metrics as text: Prometheus' own format (0.0.4), and OpenMetrics 1.0 for those who ask for it.
 *
 * In OpenMetrics the name of a counter must end in `_total`, and a collector would rename those that don't
 * (`authenticated_user_requests`). They are declared `unknown` there, so that they keep the names people query by.
 */
import type { Family, Histogram, Metric, Series } from "./metric.ts";

export type MetricFormat = "text" | "openmetrics";

export const metricContentTypes: Readonly<Record<MetricFormat, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** Whoever names OpenMetrics at all prefers it: that is what collectors do. */
export const metricFormatOf = (accept: string | undefined): MetricFormat =>
  accept?.includes("application/openmetrics-text") ? "openmetrics" : "text";

/** Piece by piece, one a family; families without series are left out. */
export function* printMetrics(families: Iterable<Family<Metric>>, format: MetricFormat): Generator<string> {
  for (const family of families) {
    const lines: string[] = [];
    for (const series of family.series()) printSeries(lines, { family, series, format });
    if (lines.length > 0) yield head(family, format) + lines.join("");
  }
  if (format === "openmetrics") yield "# EOF\n";
}

function head({ name, help, type }: Family<Metric>, format: MetricFormat): string {
  let [shown, declared]: [string, string] = [name, type];
  if (format === "openmetrics" && type === "counter") {
    if (name.endsWith("_total")) shown = name.slice(0, -"_total".length);
    else declared = "unknown";
  }
  return `# HELP ${shown} ${escapeHelp(help, format)}\n# TYPE ${shown} ${declared}\n`;
}

interface Printed {
  readonly family: Family<Metric>;
  readonly series: Series<Metric>;
  readonly format: MetricFormat;
}

function printSeries(lines: string[], { family, series: { values, metric }, format }: Printed): void {
  const { name, labels } = family;
  const pairs = labels.map((label, at) => `${label}="${escapeValue(values[at] ?? "")}"`).join(",");
  const own = pairs === "" ? "" : `{${pairs}}`;
  if (!("counts" in metric)) {
    lines.push(`${name}${own} ${printNumber(metric.value)}\n`);
    return;
  }
  const before = pairs === "" ? "" : `${pairs},`;
  const { counts, sum } = metric;
  let total = 0;
  boundTexts(metric, format).forEach((bound, at) => {
    total += counts[at] ?? 0;
    lines.push(`${name}_bucket{${before}le="${bound}"} ${printNumber(total)}\n`);
  });
  lines.push(`${name}_sum${own} ${printNumber(sum)}\n${name}_count${own} ${printNumber(total)}\n`);
}

/** OpenMetrics wants numbers with a fraction there. */
const boundTexts = ({ bounds }: Histogram, format: MetricFormat): string[] => [
  ...bounds.map((bound) => (format === "openmetrics" && Number.isInteger(bound) ? `${bound}.0` : printNumber(bound))),
  "+Inf",
];

function printNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", '"': '\\"' };
const escapeOne = (match: string): string => escapes[match] ?? match;

const escapeValue = (text: string): string => (/[\\\n"]/.test(text) ? text.replace(/[\\\n"]/g, escapeOne) : text);

const escapeHelp = (text: string, format: MetricFormat): string =>
  text.replace(format === "openmetrics" ? /[\\\n"]/g : /[\\\n]/g, escapeOne);
