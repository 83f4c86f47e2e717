/**
 * Makes `dist/main.js` and its parts, with everything but Node.js in them, `dist/sampan.js`, which turns V8's compile cache on first, and
 * `dist/cluster.js`, which other programs import.
 * Skipped when nothing under `src/` is newer than the bundle.
 */
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build, type Plugin } from "esbuild";
import { writeDescriptions } from "./descriptions.ts";

const root = path.resolve(import.meta.dirname, "..");
const bundle = path.join(root, "dist/main.js");
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };

/**
 * A CommonJS package that is imported on demand becomes a part with nothing but a default export: its names are only known when it
 * runs. They are found out here and exported by a module in between.
 */
const namedExports: Plugin = {
  name: "named-exports",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^.#]/ }, ({ kind, path: name, namespace, resolveDir }) => {
      if (kind !== "dynamic-import" || namespace === "named" || name.startsWith("node:")) return undefined;
      return { path: name, namespace: "named", pluginData: resolveDir };
    });
    onLoad({ filter: /.*/, namespace: "named" }, async ({ path: name, pluginData }) => {
      const found = Object.keys((await import(name)) as object).filter(
        (key) => /^[\w$]+$/.test(key) && key !== "default",
      );
      const names = found.length > 0 ? `export { ${found.join(", ")} } from` : "import";
      return { contents: `${names} ${JSON.stringify(name)};`, resolveDir: pluginData as string }; // as given above
    });
  },
};

/**
 * Importing `node:http` reads all its names, and behind one of them is a whole HTTP client (undici): 45 ms and 7 MB for nothing. Taken as a
 * plain object, only the names that the program uses are read.
 */
const httpAsObject: Plugin = {
  name: "http-as-object",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:http$/ }, ({ path: name }) => ({ path: name, namespace: "object" }));
    onLoad({ filter: /.*/, namespace: "object" }, ({ path: name }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(name)});`,
    }));
  },
};

const modified = (file: string) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const inputs = [
  ...globSync("src/**/*.{ts,json}", { cwd: root }),
  "package-lock.json",
  "tools/bundle.ts",
  "tools/descriptions.ts",
];
if (inputs.some((file) => modified(path.join(root, file)) > modified(bundle))) {
  mkdirSync(path.dirname(bundle), { recursive: true });
  writeDescriptions(root);
  const { metafile } = await build({
    metafile: true,
    // Threads are files of their own: a worker starts from a file.
    entryPoints: {
      main: path.join(root, "src/cmd/main.ts"),
      cluster: path.join(root, "src/testing/public.ts"),
      "store-commit-worker": path.join(root, "src/store/sqlite/commit-worker.ts"),
      "yaml-worker": path.join(root, "src/machinery/yaml-worker.ts"),
      "ingress-worker": path.join(root, "src/cmd/ingress-worker.ts"),
    },
    outdir: path.dirname(bundle),
    bundle: true,
    // What a command doesn't use isn't even read: V8 keeps the source of all that it has.
    splitting: true,
    plugins: [namedExports, httpAsObject],
    chunkNames: "part-[hash]",
    platform: "node",
    target: "node26",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "linked",
    sourcemap: "linked",
    sourcesContent: false,
    logLevel: "warning",
    // CommonJS packages inside an ES module bundle still call require for Node's own modules.
    banner: {
      js: 'import{createRequire as __sampanRequire}from"node:module";const require=__sampanRequire(import.meta.url);',
    },
  });
  // Parts of the last time would stay around.
  for (const file of globSync("dist/part-*", { cwd: root }))
    if (!(file.replace(/\.LEGAL\.txt$/, "") in metafile.outputs)) rmSync(path.join(root, file), { force: true });
  // esbuild escapes letters beyond ASCII in strings, not in patterns. With a single one, V8 keeps the source in two bytes a letter.
  for (const file of globSync("dist/*.js", { cwd: root })) {
    const program = readFileSync(path.join(root, file), "utf8");
    const ascii = program.replace(
      /[\u0080-\uffff]/g,
      (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    if (ascii !== program) writeFileSync(path.join(root, file), ascii);
  }
  copyFileSync(path.join(root, "src/testing/package-types.d.ts"), path.join(root, "dist/cluster.d.ts"));
  writeFileSync(
    path.join(root, "dist/sampan.js"),
    `#!/usr/bin/env node
import module from "node:module";
// Servers idle most of the time: a small young generation costs them hardly any processor time and saves tens of megabytes, and one arena for all
// threads that allocate outside of it costs none and saves some more. Both are set up before any program runs, hence the second start, which takes
// 25 ms. Whoever is spoken to over a channel keeps it. Left alone the young generation stays at one megabyte even under load, since little survives
// there: four times as many collections, a quarter of all processor time.
const small = ["--max-semi-space-size=4", "--min-semi-space-size=4"];
const { argv, env, execArgv, execPath } = process;
const isServer = ["up", "apiserver", "server", "dns"].includes(argv[2]);
if (isServer && process.execve && !process.channel && !execArgv.some((flag) => flag.startsWith("--max-semi-space-size")))
  process.execve(execPath, [execPath, ...execArgv, ...small, ...argv.slice(1)], { MALLOC_ARENA_MAX: "1", SAMPAN_ARENAS: env.MALLOC_ARENA_MAX ?? "", ...env });
// Programs that this one starts decide for themselves.
if (env.SAMPAN_ARENAS === "") delete env.MALLOC_ARENA_MAX;
delete env.SAMPAN_ARENAS;
module.enableCompileCache();
process.env.SAMPAN_BUNDLED = "1";
process.env.SAMPAN_VERSION = ${JSON.stringify(version)};
await import("./main.js");
`,
    { mode: 0o755 },
  );
}
