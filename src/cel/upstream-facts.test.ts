/**
 * Expressions with what the real environment of Kubernetes 1.36 (cel-go 0.26) answers: type, estimated cost, value or error
 * and what it cost; or the compile errors. Recorded by a Go program around k8s.io/apiserver/pkg/cel/environment.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as cel from "./mod.ts";

interface Fact {
  readonly expr: string;
  readonly libs?: readonly cel.LibraryName[];
  /** Index of the schema and value of `self`; without it `self` is `{"a": {"b": 1}}` of any type. */
  readonly schema?: number;
  readonly issues?: string;
  readonly stage?: "program";
  readonly type?: string;
  readonly estimate?: readonly [min: number, max: number];
  readonly value?: unknown;
  readonly error?: string;
  readonly cost?: number;
}

interface Facts {
  readonly schemas: readonly { readonly schema: cel.JsonSchema; readonly self: unknown }[];
  readonly facts: readonly Fact[];
}

const { schemas, facts } = JSON.parse(readFileSync(new URL("upstream-facts.json", import.meta.url), "utf8")) as Facts;

const base = cel.createEnvironment({
  variables: {
    authorizer: cel.authorizerType,
    x: cel.intType,
    m: cel.mapType(cel.stringType, cel.dynType),
  },
});

/** Allows get, fails on fail, and tells in the reason what was asked. */
const authorizer = () =>
  cel.createAuthorizer({
    user: { name: "alice" },
    authorize: (a) => {
      const parts = [a.user.name, a.verb, a.apiGroup, a.resource, a.subresource, a.namespace, a.name, a.path];
      const reason = [...parts, a.resourceRequest].join("|");
      if (a.verb === "fail") return { decision: "none", reason, error: "it failed" };
      return { decision: a.verb === "get" ? "allow" : "deny", reason };
    },
  });

/** Go prints numbers beyond 1e21 with an exponent of two digits. */
const double = (value: number): string => {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  return (Object.is(value, -0) ? "-0" : String(value)).replace(/e([+-])(\d)$/, "e$10$2");
};

const objectNames: Readonly<Record<string, string>> = {
  "kubernetes.Quantity": "quantity",
  "net.IP": "ip",
  "net.CIDR": "cidr",
  "kubernetes.URL": "url",
  "kubernetes.Semver": "semver",
  "kubernetes.NamedFormat": "format",
};

/** The form in which the recording has values. */
function show(value: cel.Result): unknown {
  if (value instanceof cel.CelError) return { err: value.message };
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "bigint") return `int ${value}`;
  if (typeof value === "string") return `string ${value}`;
  if (typeof value === "number") return `double ${double(value)}`;
  if (value instanceof cel.Uint) return `uint ${value.value}`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (value instanceof cel.Duration) return `duration ${value.nanoseconds}`;
  if (value instanceof cel.Timestamp) return `timestamp ${cel.toJson(value)}`;
  if (value instanceof cel.Optional) return value.value === undefined ? "none" : { some: show(value.value) };
  if (value instanceof cel.CelType) return `type ${value.name}`;
  if (value instanceof cel.CelList) return { list: [...value].map(show) };
  if (value instanceof cel.CelMap) {
    const entries = [...value.keys()].map((key) => [show(key), show(value.find(key) ?? null)]);
    const sorted = entries.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    return { map: sorted.length === 0 ? null : sorted };
  }
  const name = objectNames[value.type.name];
  return name ? `${name} ${value.text?.()}` : `object ${value.type.name}`;
}

function answer({ expr, libs = [], schema: index }: Fact): Omit<Fact, "schema" | "libs"> {
  const typed = index === undefined ? undefined : schemas[index];
  const { schema, self = { a: { b: 1 } } } = typed ?? {};
  const declared = schema && cel.schemaDeclType(schema, schema["x-kubernetes-embedded-resource"]);
  const type = declared && cel.assignTypeName(declared, "selfType");
  const celType = type?.celType ?? cel.dynType;
  const environment = base.extend({
    variables: { self: celType, oldSelf: celType },
    declTypes: type ? [type] : [],
    libraries: libs,
    ...(libs.includes("jsonpatch") && { resolveType: cel.resolveMutationType }),
  });
  const { program, issues, ...rest } = environment.compile(expr);
  if (!program) return { expr, issues, ...("stage" in rest && rest.stage === "program" && { stage: "program" }) };
  const { min, max } = program.estimateCost(type && cel.declTypeSizeEstimator({ self: type, oldSelf: type }));
  const given = cel.fromJson(self, schema) as cel.CelValue; // the recorded values fit their schemas
  const m = cel.fromJson({ a: 1, b: [1, "two"] }) as cel.CelValue; // as above
  const outcome = program.evaluate({ self: given, oldSelf: given, x: 5n, m, authorizer });
  const known = { expr, type: program.outputType.toString(), estimate: [min, max] as const, cost: outcome.cost };
  return outcome.error ? { ...known, error: outcome.error.message } : { ...known, value: show(outcome.value) };
}

/** Large costs are approximate here, and what a cancelled evaluation had cost is nobody's business. */
function comparable({ expr, issues, stage, type, estimate = [0, 0], value, error, cost }: Fact): unknown {
  const near = estimate.map((n) => Number(n.toPrecision(9)));
  const isCancelled = error?.startsWith("operation cancelled") ?? false;
  if (issues !== undefined) return { expr, issues, stage };
  return { expr, type, near, value: value ?? null, error, cost: isCancelled ? undefined : cost };
}

test("expressions: types, costs, values and errors are upstream's", () => {
  assert.ok(facts.length > 1000);
  for (const fact of facts) assert.deepEqual(comparable(answer(fact)), comparable(fact));
});
