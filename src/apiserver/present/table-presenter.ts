/** Tables: what `kubectl get` shows. Columns come from the kind; without any, name and age as upstream's default. */
import { type Column, creationText } from "#api";
import type { KubernetesObject } from "#machinery";
import type { ListMetadata } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { Resource } from "../resource.ts";
import { metadataText, partialHead, textPieces } from "./metadata-presenter.ts";
import { bodyOf, type ListBytes, type Presenter } from "./presenter.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

export interface TableOptions {
  readonly resource: Resource;
  /** Of the Table kind: v1 or v1beta1. */
  readonly version: string;
  readonly include: IncludeObject;
  readonly now: number;
  /** The words of a column's description. */
  readonly textOf: (description: Column<never>["description"]) => string;
}

const nameDescription = { field: "V1ObjectMeta.name" };
export const nameColumn: Column<KubernetesObject> = {
  name: "Name",
  type: "string",
  format: "name",
  description: nameDescription,
  of: (object) => object.metadata?.name ?? "",
};

export const defaultColumns: readonly Column<KubernetesObject>[] = [
  {
    name: "Created At",
    type: "date",
    description: creationText,
    of: (object) => object.metadata?.creationTimestamp ?? null,
  },
];

export class TablePresenter implements Presenter {
  /** The first event of a watch carries the columns: every watch has its own. */
  readonly shareId = undefined;
  readonly #options: TableOptions;
  readonly #columns: readonly Column<KubernetesObject>[];
  #columnsSent = false;

  constructor(options: TableOptions) {
    this.#options = options;
    const columns = options.resource.stored?.behaviour.columns ?? defaultColumns;
    // Events show their name last.
    this.#columns = columns.some(({ name }) => name === "Name") ? columns : [nameColumn, ...columns];
  }

  one(object: StoredObject): Buffer {
    return Buffer.from(`${this.#start({ resourceVersion: String(object.revision) })}${this.#row(object)}]}`);
  }

  list(objects: readonly StoredObject[], metadata: ListMetadata): ListBytes {
    if (objects.length === 0 && !this.#options.resource.stored?.behaviour.columns) {
      // Go prints a list that never got an item as null.
      return { length: undefined, pieces: [Buffer.from(`${this.#start(metadata).slice(0, -1)}null}`)] };
    }
    return {
      length: undefined,
      pieces: textPieces(this.#start(metadata), objects, (object) => this.#row(object), "]}"),
    };
  }

  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer {
    const metadata = {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(annotations && { annotations }),
    };
    const object = `${partialHead(this.#options.version)}${JSON.stringify(metadata)}}`;
    return Buffer.from(
      `${this.#start({ resourceVersion: String(revision) })}{"cells":${JSON.stringify(this.#columns.map(() => null))},"object":${object}}]}`,
    );
  }

  #start(metadata: ListMetadata): string {
    const columns = this.#columnsSent ? "" : `"columnDefinitions":${JSON.stringify(this.#definitions())},`;
    this.#columnsSent = true;
    return `{"kind":"Table","apiVersion":"meta.k8s.io/${this.#options.version}","metadata":${JSON.stringify(metadata)},${columns || '"columnDefinitions":null,'}"rows":[`;
  }

  #definitions() {
    return this.#columns.map(({ name, type, format = "", description, priority = 0 }) => ({
      name,
      type,
      format,
      description: this.#options.textOf(description),
      priority,
    }));
  }

  #row(object: StoredObject): string {
    const { resource, now, include, version } = this.#options;
    // Kinds are asked with their own type; what is stored is of that type.
    const shown = object.glance() as KubernetesObject;
    const cells = this.#columns.map((column) => column.of(shown, now));
    let shownObject = "null";
    if (include === "Metadata") shownObject = `${partialHead(version)}${metadataText(object)}}`;
    else if (include === "Object") shownObject = `${resource.head}${bodyOf(resource, object)}`;
    const conditions = resource.stored?.behaviour.rowConditions?.(shown) ?? [];
    const marks = conditions.length > 0 ? `"conditions":${JSON.stringify(conditions)},` : "";
    return `{"cells":${JSON.stringify(cells)},${marks}"object":${shownObject}}`;
  }
}
