/**
 * Holds the import table of the architecture: which area may import which, areas only through their public file, no cycles
 * between files (type-only imports included). Prints each offence and exits 1.
 */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";

const parts = ["base", "machinery", "cel", "api", "client"];
const table: Record<string, readonly string[]> = {
  base: [],
  machinery: ["base"],
  cel: ["base", "machinery"],
  api: ["base", "machinery", "cel"],
  store: ["base"],
  apiserver: ["base", "machinery", "cel", "api", "store"],
  client: ["base", "machinery", "api"],
  scheduler: parts,
  controllers: parts,
  kubelet: parts,
  network: parts,
  "network-policy": parts,
  ingress: parts,
  proxy: parts,
  dns: parts,
  monitoring: parts,
  ha: parts,
  cli: parts,
  console: ["api"],
};
/** These compose the program: they may import everything. */
const roots = new Set(["cmd", "testing"]);

/** Lines of a source file above which it must be split. */
const linesMax = 800;

const importPattern = /(?:^|\n)\s*(?:import|export)[^;'"]*?from\s*"([^"]+)"|import\(\s*"([^"]+)"\s*\)/g;

export function checkImports(root: string): string[] {
  const offences: string[] = [];
  const graph = new Map<string, string[]>();
  for (const file of globSync("src/**/*.{ts,tsx}", { cwd: root }).sort()) {
    const text = readFileSync(path.join(root, file), "utf8");
    const area = file.split("/")[1] ?? "";
    const isTest = file.endsWith(".test.ts");
    if (!(area in table) && !roots.has(area)) offences.push(`${file}: area ${area} is not in the import table`);
    const lines = text.split("\n").length;
    if (lines > linesMax && !file.endsWith(".d.ts"))
      offences.push(`${file}: ${lines} lines, split it (limit ${linesMax})`);
    const targets: string[] = [];
    for (const match of text.matchAll(importPattern)) {
      const specifier = match[1] ?? match[2] ?? "";
      const target = resolve(file, specifier);
      if (!target) continue;
      targets.push(target);
      const targetArea = target.split("/")[1] ?? "";
      if (targetArea === area) continue;
      if (specifier.startsWith(".")) offences.push(`${file}: imports ${specifier} of another area; use #${targetArea}`);
      if (roots.has(area) || isTest) continue;
      if (!table[area]?.includes(targetArea)) offences.push(`${file}: ${area} may not import ${targetArea}`);
    }
    if (!isTest) graph.set(file, targets);
  }
  return [...offences, ...findCycles(graph)];
}

function resolve(file: string, specifier: string): string | undefined {
  if (specifier.startsWith("#")) return `src/${specifier.slice(1)}/mod.ts`;
  if (!specifier.startsWith(".") || !/\.tsx?$/.test(specifier)) return undefined;
  return path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier));
}

function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const state = new Map<string, "open" | "done">();
  const trail: string[] = [];
  const visit = (file: string): void => {
    if (state.get(file) === "done") return;
    if (state.get(file) === "open") {
      found.push(`cycle: ${[...trail.slice(trail.indexOf(file)), file].join(" -> ")}`);
      return;
    }
    state.set(file, "open");
    trail.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    trail.pop();
    state.set(file, "done");
  };
  for (const file of graph.keys()) visit(file);
  return found;
}

if (import.meta.main) {
  const offences = checkImports(path.resolve(import.meta.dirname, ".."));
  for (const offence of offences) console.log(offence);
  console.log(offences.length === 0 ? "import table holds" : `${offences.length} offences`);
  process.exitCode = offences.length === 0 ? 0 : 1;
}
