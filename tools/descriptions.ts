/**
 * What the fields of the API mean, taken from the documentation comments of the JavaScript client (a development dependency) into
 * `dist/descriptions.json`: the words are upstream's and stay out of this repository.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { DescriptionFile } from "../src/apiserver/openapi/descriptions.ts";

/** A documentation comment, then the class or the field that it belongs to. */
const pattern = /\/\*\*\s*\n((?:\s*\*[^\n]*\n)*?)\s*\*\/\s*(?:export declare class (\w+)|'([^']+)'\??:)/g;

export function readDescriptions(models: string): DescriptionFile {
  return Object.fromEntries(
    globSync("*.d.ts", { cwd: models })
      .sort()
      .map((file) => [path.basename(file, ".d.ts"), describe(readFileSync(path.join(models, file), "utf8"))]),
  );
}

export function describe(source: string): [text: string, fields: Record<string, string>] {
  const fields: Record<string, string> = {};
  let ofClass = "";
  for (const [, comment = "", className, field] of source.matchAll(pattern)) {
    const text = comment
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, ""))
      .join("\n")
      .trim()
      .replace(/\\(["'\\])/g, "$1")
      .replaceAll("*_/", "*/");
    if (className) ofClass = text;
    else if (field) fields[field] = text;
  }
  return [ofClass, fields];
}

export function writeDescriptions(root: string): void {
  const models = path.join(root, "node_modules/@kubernetes/client-node/dist/gen/models");
  writeFileSync(path.join(root, "dist/descriptions.json"), JSON.stringify(readDescriptions(models)));
}
