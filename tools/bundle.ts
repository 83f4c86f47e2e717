/**
 * Makes `dist/main.js`, one file with everything but Node.js in it, and `dist/sampan.js`, which turns V8's compile cache on first.
 * Skipped when nothing under `src/` is newer than the bundle.
 */
import { globSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { writeDescriptions } from "./descriptions.ts";

const root = path.resolve(import.meta.dirname, "..");
const bundle = path.join(root, "dist/main.js");
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };

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
  await build({
    // The store's commit thread is a file of its own: a worker starts from a file.
    entryPoints: {
      main: path.join(root, "src/cmd/main.ts"),
      "store-commit-worker": path.join(root, "src/store/sqlite/commit-worker.ts"),
    },
    outdir: path.dirname(bundle),
    bundle: true,
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
  // esbuild escapes letters beyond ASCII in strings, not in patterns. With a single one, V8 keeps the source in two bytes a letter: 3 MB.
  const program = readFileSync(bundle, "utf8");
  const ascii = program.replace(
    /[\u0080-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  writeFileSync(bundle, ascii);
  writeFileSync(
    path.join(root, "dist/sampan.js"),
    `#!/usr/bin/env node
import module from "node:module";
module.enableCompileCache();
process.env.SAMPAN_BUNDLED = "1";
process.env.SAMPAN_VERSION = ${JSON.stringify(version)};
await import("./main.js");
`,
    { mode: 0o755 },
  );
}
