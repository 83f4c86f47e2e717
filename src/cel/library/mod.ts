/** The libraries of an environment as Kubernetes has them, in the order in which overloads are looked at. */

import type { LibraryName } from "../contract.ts";
import type { Library } from "../functions.ts";
import type { RegexCompiler } from "../regex.ts";
import { authorizerLibrary } from "./authorizer.ts";
import {
  bindingsLibrary,
  kubernetesLists,
  listsLibrary,
  optionalLibrary,
  setsLibrary,
  twoVariableLibrary,
} from "./collections.ts";
import { jsonPatchLibrary } from "./mutation.ts";
import {
  cidrLibrary,
  formatLibrary,
  ipLibrary,
  quantityLibrary,
  regexLibrary,
  semverLibrary,
  urlLibrary,
} from "./objects.ts";
import { standardLibrary } from "./standard.ts";
import { stringsLibrary } from "./strings.ts";

export const baseLibraries = (regex: RegexCompiler): readonly Library[] => [
  standardLibrary(regex),
  urlLibrary,
  regexLibrary(regex),
  kubernetesLists,
  authorizerLibrary,
  optionalLibrary,
  quantityLibrary,
  stringsLibrary,
  setsLibrary,
  ipLibrary,
  cidrLibrary,
  formatLibrary,
  twoVariableLibrary,
  semverLibrary,
  listsLibrary,
];

export const extraLibraries: Readonly<Record<LibraryName, Library>> = {
  jsonpatch: jsonPatchLibrary,
  bindings: bindingsLibrary,
};
