/**
 * What fields mean, in words: `kubectl explain` prints it. The words are upstream's, so they aren't in this tree: the build takes them from
 * the documentation comments of a package (`tools/descriptions.ts`) into a file beside the program. Without the file nothing is
 * described. They are read when a document is made and forgotten after: a few megabytes for something that is asked for once a day.
 */

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

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);
