/**
 * What fields mean, in words: `kubectl explain` prints it. The words are upstream's, so they aren't in this tree: the build takes them from
 * the documentation comments of a package (`tools/descriptions.ts`) into a file beside the program. Without the file nothing is
 * described. They are read when a document is made and forgotten after: a few megabytes for something that is asked for once a day.
 */

import type { FieldText } from "#api";

/** By class name as client generators make it (`V1Pod`, `CoreV1Event`): of the type, then of its fields. */
export type DescriptionFile = Readonly<
  Record<string, readonly [text: string, fields: Readonly<Record<string, string>>]>
>;

export class Descriptions {
  readonly #file: DescriptionFile;

  constructor(file: DescriptionFile) {
    this.#file = file;
  }

  /** @param name full name of a type: `io.k8s.api.core.v1.Pod`. Names that two groups share have the group in front. */
  of(name: string): { readonly text: string; readonly fields: Readonly<Record<string, string>> } | undefined {
    const [group = "", version = "", kind = ""] = name.split(".").slice(-3);
    const found = this.#file[`${capital(group)}${capital(version)}${kind}`] ?? this.#file[`${capital(version)}${kind}`];
    return found && { text: found[0], fields: found[1] };
  }
}

/** Texts of columns. All of them are read together, when the first table is shown; without the build's file they are empty. */
export function createFieldTexts(
  columns: readonly { readonly description?: string | FieldText }[],
  load: () => DescriptionFile | undefined,
): (text: string | FieldText | undefined) => string {
  let texts: Map<FieldText, string> | undefined;
  const readAll = () => {
    const file = load() ?? {};
    return new Map(
      columns.flatMap(({ description }) =>
        typeof description === "object" ? [[description, read(file, description)]] : [],
      ),
    );
  };
  return (text) => {
    if (text === undefined || typeof text === "string") return text ?? "";
    texts ??= readAll();
    return texts.get(text) ?? "";
  };
}

function read(file: DescriptionFile, { field, gaps = {} }: FieldText): string {
  const [type = "", name = ""] = field.split(".");
  const words = file[type]?.[1][name]?.split(/\s+/) ?? [];
  return words.map((word, index) => word + (index + 1 < words.length ? (gaps[index + 1] ?? " ") : "")).join("");
}

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);
