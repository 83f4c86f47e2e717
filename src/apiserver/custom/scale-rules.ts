/** The scale subresource by the paths that a version names. Follows registry/customresource/etcd.go and validator.go. */
import type { CustomResourceDefinitionVersion, Kind } from "#api";
import { type FieldError, fieldError, type KubernetesObject } from "#machinery";
import { goTypeOf, PathError, type SimplePath, setAt, simplePath, valueAt } from "./simple-path.ts";

type ScalePaths = NonNullable<NonNullable<CustomResourceDefinitionVersion["subresources"]>["scale"]>;

const int32Max = 2 ** 31 - 1;

export function scaleRules(paths: ScalePaths): NonNullable<Kind["scale"]> {
  const spec = simplePath(paths.specReplicasPath);
  const status = simplePath(paths.statusReplicasPath);
  const selector = paths.labelSelectorPath ? simplePath(paths.labelSelectorPath) : undefined;
  return {
    replicasOf: (object) => numberAt(object, spec) ?? 0,
    setReplicas: (object, replicas) => setAt(object, spec, replicas),
    statusReplicasOf: (object) => numberAt(object, status) ?? 0,
    selectorOf: (object) => (selector ? (textAt(object, selector) ?? "") : ""),
    replicasPath: spec,
    missing: (object) =>
      numberAt(object, spec) === undefined
        ? `the spec replicas field ${JSON.stringify(paths.specReplicasPath)} does not exist`
        : undefined,
  };
}

function numberAt(object: KubernetesObject, path: SimplePath): number | undefined {
  const value = valueAt(object, path);
  if (value === undefined || (typeof value === "number" && Number.isInteger(value))) return value;
  throw new PathError(accessorError(path, value, "int64"));
}

function textAt(object: KubernetesObject, path: SimplePath): string | undefined {
  const value = valueAt(object, path);
  if (value === undefined || typeof value === "string") return value;
  throw new PathError(accessorError(path, value, "string"));
}

const accessorError = (path: SimplePath, value: unknown, wanted: string): string =>
  `.${path.join(".")} accessor error: ${String(value)} is of the type ${goTypeOf(value)}, expected ${wanted}`;

/** `withSpec`: also what the main resource may change. */
export function validateScale(object: KubernetesObject, paths: ScalePaths, withSpec: boolean): FieldError[] {
  const { specReplicasPath, statusReplicasPath, labelSelectorPath } = paths;
  const errors: FieldError[] = [];
  if (withSpec) errors.push(...checkReplicas(object, specReplicasPath));
  errors.push(...checkReplicas(object, statusReplicasPath));
  if (labelSelectorPath)
    errors.push(
      ...attempt(labelSelectorPath, "", () => {
        textAt(object, simplePath(labelSelectorPath));
        return undefined;
      }),
    );
  return errors;
}

function checkReplicas(object: KubernetesObject, path: string): FieldError[] {
  const errors: FieldError[] = [];
  return attempt(path, 0, () => {
    const replicas = numberAt(object, simplePath(path)) ?? 0;
    if (replicas < 0) errors.push(fieldError.invalid(path, replicas, "should be a non-negative integer"));
    else if (replicas > int32Max) {
      errors.push(fieldError.invalid(path, replicas, `should be less than or equal to ${int32Max}`));
    }
    return errors;
  });
}

function attempt(path: string, zero: unknown, run: () => FieldError[] | undefined): FieldError[] {
  try {
    return run() ?? [];
  } catch (error) {
    if (!(error instanceof PathError)) throw error;
    return [fieldError.invalid(path, zero, error.message)];
  }
}
