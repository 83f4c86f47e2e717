import type { LibraryName } from "../contract.ts";
import type { Library } from "../functions.ts";
import type { RegexCompiler } from "../regex.ts";
import { standardLibrary } from "./standard.ts";
export const baseLibraries = (regex: RegexCompiler): readonly Library[] => [standardLibrary(regex)];
export const extraLibraries: Readonly<Record<LibraryName, Library>> = { jsonpatch: {}, bindings: {} };
