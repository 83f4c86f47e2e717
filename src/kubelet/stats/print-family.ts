/** Metrics with a time for each line, which the registry's don't have: they were measured at different moments. */
export interface MetricRow {
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

/** "" without rows. Labels in the order of their names. */
export function printFamily({ name, type, help, rows }: MetricFamily): string {
  if (rows.length === 0) return "";
  const lines = rows.map(({ labels, value, timeMs }) => {
    const pairs = Object.keys(labels)
      .sort()
      .map((key) => `${key}="${(labels[key] ?? "").replace(/[\\\n"]/g, (one) => escapes[one] ?? one)}"`);
    const own = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
    return `${name}${own} ${value}${timeMs === undefined ? "" : ` ${Math.round(timeMs)}`}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}
