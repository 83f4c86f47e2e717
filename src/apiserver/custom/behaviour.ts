/**
 * What one version of a custom kind does with its objects: the strategy of registry/customresource. Objects come in the stored version;
 * what a version checks, it checks in its own shape.
 */
import type { CustomResourceDefinitionVersion, Kind, Strategy } from "#api";
import { type DeepReadonly, type FieldError, jsonEqual, type KubernetesObject } from "#machinery";
import { statusStrategy } from "../registry/plain-kind.ts";
import { columnsOf } from "./columns.ts";
import type { CustomSchema } from "./custom-schema.ts";
import { compileJsonPath } from "./json-path.ts";
import { scaleRules, validateScale } from "./scale-rules.ts";

type Version = DeepReadonly<CustomResourceDefinitionVersion>;
type WithStatus = KubernetesObject & { status?: unknown };

export interface BehaviourOptions {
  readonly group: string;
  readonly kind: string;
  readonly resource: string;
  readonly storageVersion: string;
  readonly version: Version;
  readonly schema: CustomSchema;
  /** A stored object in this version's shape; the same object when that is the stored one. */
  readonly view: (object: KubernetesObject) => KubernetesObject;
  /** JSON paths of all versions: fields are taken out of an object once. */
  readonly selectablePaths: readonly string[];
}

export function behaviourOf(options: BehaviourOptions): Kind<WithStatus> {
  const { group, kind, resource, storageVersion, version, schema, view, selectablePaths } = options;
  const { status, scale } = version.subresources ?? {};
  const own = (version.selectableFields ?? []).map(({ jsonPath }) => jsonPath.replace(/^\./, ""));
  const check = (object: KubernetesObject, old: KubernetesObject | undefined, withSpec: boolean): FieldError[] => {
    const errors = schema.validate(object, old);
    if (scale) errors.push(...validateScale(object, scale, withSpec));
    return errors;
  };
  return {
    group,
    kind,
    resource,
    storageVersion,
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
    validate(object) {
      const mine = view(object);
      return [...check(mine, undefined, true), ...schema.validateParts(mine)];
    },
    validateUpdate(object, old) {
      const [mine, before] = [view(object), view(old)];
      return [...check(mine, before, true), ...schema.validateParts(mine, before)];
    },
    ...(status && {
      resetFields: ["status"],
      subresources: { status: statusOf((object, old) => check(view(object), view(old), false)) },
    }),
    ...(scale && { scale: scaleRules(scale) }),
    columns: columnsOf(version.additionalPrinterColumns as Parameters<typeof columnsOf>[0]), // only read
    ...(selectablePaths.length > 0 && { selectableFields: selectableFields(selectablePaths) }),
    selectableFieldNames: own,
    unknownField: (field) => `field label not supported: ${field}`,
  };
}

const statusOf = (validateUpdate: NonNullable<Strategy<WithStatus>["validateUpdate"]>): Strategy<WithStatus> => ({
  ...statusStrategy,
  validateUpdate,
});

function selectableFields(paths: readonly string[]): (object: KubernetesObject) => Record<string, string> {
  const finders = paths.map((path) => [path.replace(/^\./, ""), compileJsonPath(path)] as const);
  return (object) =>
    Object.fromEntries(
      finders.map(([name, find]) => {
        const [value] = find(object);
        return [name, value === undefined || value === null ? "" : String(value)];
      }),
    );
}
