/** What one version of a custom kind does with its objects: the strategies of registry/customresource. */
import type { CustomResourceDefinitionVersion, Kind } from "#api";
import { type DeepReadonly, type FieldError, jsonEqual, type KubernetesObject } from "#machinery";
import { statusStrategy } from "../registry/plain-kind.ts";
import { columnsOf } from "./columns.ts";
import type { CustomSchema } from "./custom-schema.ts";
import { finalizerWarnings } from "./finalizer-warnings.ts";
import { compileJsonPath, found } from "./json-path.ts";
import { scaleRules, validateScale } from "./scale-rules.ts";

type Version = DeepReadonly<CustomResourceDefinitionVersion>;
type WithStatus = KubernetesObject & { status?: unknown };

export interface BehaviourOptions {
  readonly group: string;
  readonly kind: string;
  readonly resource: string;
  readonly namespaced: boolean;
  readonly version: Version;
  readonly schema: CustomSchema;
}

export function behaviourOf(options: BehaviourOptions): Kind<WithStatus> {
  const { group, kind, resource, namespaced, version, schema } = options;
  const { status, scale } = version.subresources ?? {};
  const selectable = (version.selectableFields ?? []).map(({ jsonPath }) => jsonPath);
  // Few kinds are ever shown as a table.
  let columns: ReturnType<typeof columnsOf> | undefined;
  const scaleErrors = (object: KubernetesObject, withSpec: boolean): FieldError[] =>
    scale ? validateScale(object, scale, withSpec) : [];
  return {
    group,
    kind,
    resource,
    storageVersion: version.name,
    allowUnconditionalUpdate: false,
    prepareForCreate(object) {
      if (status) delete object.status;
      object.metadata = { ...object.metadata, generation: 1 };
    },
    prepareForUpdate(object, old) {
      if (status) {
        if (old.status === undefined) delete object.status;
        else object.status = old.status;
      }
      const { metadata: _, ...now } = object;
      const { metadata: oldMetadata, ...before } = old;
      if (jsonEqual(now, before)) return;
      object.metadata = { ...object.metadata, generation: (oldMetadata?.generation ?? 0) + 1 };
    },
    ...checks(schema, "all", (object) => scaleErrors(object, true)),
    warningsOnCreate: (object) => finalizerWarnings(object, undefined),
    warningsOnUpdate: (object, old) => [...schema.takeWarnings(object), ...finalizerWarnings(object, old)],
    ...(status && {
      resetFields: ["status"],
      subresources: {
        status: {
          ...statusStrategy,
          ...checks(schema, "status", (object) => scaleErrors(object, false)),
          resetFields: ["metadata", "spec"],
          warningsOnUpdate: (object) => [...schema.takeWarnings(object)],
        },
      },
    }),
    ...(scale && { scale: scaleRules(scale) }),
    get columns() {
      columns ??= columnsOf(version.additionalPrinterColumns as Parameters<typeof columnsOf>[0]); // only read
      return columns;
    },
    ...(selectable.length > 0 && { selectableFields: selectableFields(selectable) }),
    selectableFieldNames: selectable.map((path) => path.replace(/^\./, "")),
    ...(!namespaced && { selectableField: (field) => (field === "metadata.namespace" ? undefined : field) }),
    unknownField: (field) => `field label not supported: ${field}`,
  };
}

function checks(
  schema: CustomSchema,
  part: "all" | "status",
  more: (object: KubernetesObject) => readonly FieldError[],
) {
  return {
    beforeValidate: (object: WithStatus, old: WithStatus | undefined) =>
      schema.beforeValidate(object, { old, part, more }),
    validate: (object: WithStatus) => schema.validate(object, { old: undefined, part, more }),
    validateUpdate: (object: WithStatus, old: WithStatus) => schema.validate(object, { old, part, more }),
  };
}

function selectableFields(paths: readonly string[]): (object: KubernetesObject) => Record<string, string> {
  const finders = paths.map((path) => [path.replace(/^\./, ""), compileJsonPath(path)] as const);
  return (object) =>
    Object.fromEntries(
      finders.map(([name, path]) => {
        const [value] = path ? found(path, object) : [];
        return [name, value === undefined || value === null ? "" : String(value)];
      }),
    );
}
