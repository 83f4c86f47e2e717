/** Metrics with a time for each line, which the registry's don't have: they were measured at different moments. */
export interface MetricRow {
  /** Labels that come first: those that many lines share are printed once. */
  readonly printed?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Missing: when somebody asks. */
  readonly timeMs?: number | undefined;
}

export interface MetricFamily {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly rows: readonly MetricRow[];
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", '"': '\\"' };

/** In the order of their names, without brackets. */
export const printLabels = (labels: MetricRow["labels"]): string =>
  Object.keys(labels)
    .sort()
    .map((key) => `${key}="${(labels[key] ?? "").replace(/[\\\n"]/g, (one) => escapes[one] ?? one)}"`)
    .join(",");

/** "" without rows. */
export function printFamily({ name, type, help, rows }: MetricFamily): string {
  if (rows.length === 0) return "";
  const lines = rows.map(({ printed = "", labels, value, timeMs }) => {
    const more = printLabels(labels);
    const all = printed && more ? `${printed},${more}` : printed + more;
    return `${name}${all && `{${all}}`} ${value}${timeMs === undefined ? "" : ` ${Math.round(timeMs)}`}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}
