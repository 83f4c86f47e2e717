import assert from "node:assert/strict";
import { test } from "node:test";
import * as cel from "./mod.ts";

const base = cel.createEnvironment({ variables: { self: cel.dynType } });

function compiled(source: string, environment = base): cel.Program {
  const { program, issues } = environment.compile(source);
  assert.ok(program, issues ?? "no issues");
  return program;
}

const value = (source: string, self: unknown = null): unknown => {
  const { value: found = null, error } = compiled(source).evaluate({ self: cel.fromJson(self) as cel.CelValue });
  return error ? `error: ${error.message}` : cel.toJson(found);
};

test("environment: errors show where they are", () => {
  const { issues } = base.compile("self.a ==\n\tfoo + 'é'.bar()");
  assert.equal(
    issues,
    "ERROR: <input>:2:2: undeclared reference to 'foo' (in container '')\n |  foo + 'é'.bar()\n | .^\n" +
      "ERROR: <input>:2:15: undeclared reference to 'bar' (in container '')\n |  foo + 'é'.bar()\n | ........．.....^",
  );
});

test("environment: functions are known from their release on", () => {
  const source = "semver('1.2.3').major() == 1";
  assert.ok(cel.createEnvironment({ version: "1.33" }).compile(source).program);
  assert.match(
    cel.createEnvironment({ version: "1.32" }).compile(source).issues ?? "",
    /undeclared reference to 'semver'/,
  );
});

test("environment: an extended one leaves the one before alone", () => {
  const extended = base.extend({ variables: { more: cel.intType } });
  assert.ok(extended.compile("more + 1").program);
  assert.equal(base.compile("more + 1").program, undefined);
});

test("environment: literals that cannot work don't make a program", () => {
  assert.deepEqual(base.compile("int('x')"), {
    issues: "type conversion error from 'string' to 'int'",
    stage: "program",
  });
});

test("program: the cost limit ends an evaluation", () => {
  const program = compiled("[1, 2, 3].all(i, i < 5)");
  const { cost } = program.evaluate({});
  assert.equal(program.evaluate({}, { costLimit: cost }).error, undefined);
  const { error } = program.evaluate({}, { costLimit: cost - 1 });
  assert.deepEqual({ ...error }, { message: "operation cancelled: actual cost limit exceeded", code: "cost" });
});

test("program: an expensive call is refused before it runs", () => {
  const { error, cost } = compiled("lists.range(1000000000).map(i, i)").evaluate({});
  assert.equal(error?.code, "cost");
  assert.ok(cost > cel.perCallLimit);
});

test("program: an interrupted evaluation says so, whatever is around it", () => {
  const program = compiled("lists.range(100000).all(i, i >= 0) || true");
  let asked = 0;
  const { error } = program.evaluate({}, { interrupted: () => ++asked === 3 });
  assert.deepEqual({ ...error }, { message: "operation interrupted", code: "interrupted" });
});

test("program: texts that grow without bound are cut off", () => {
  const tenfold = `.map(s, '${"%s".repeat(10)}'.format([s${", s".repeat(9)}]))`;
  assert.equal(compiled(`['x']${tenfold.repeat(9)}`).evaluate({}).error?.message, "operation cancelled: text too long");
});

test("program: a variable that is a function is asked once, and only if it is used", () => {
  const environment = base.extend({ variables: { lazy: cel.intType } });
  let asked = 0;
  const lazy = (): bigint => BigInt(++asked);
  assert.equal(compiled("lazy + lazy", environment).evaluate({ lazy }).value, 2n);
  compiled("true || lazy == 1", environment).evaluate({ lazy });
  assert.equal(asked, 1);
});

test("program: the fields of a lazy object are computed when they are used", () => {
  const type = cel.objectType("kubernetes.variables");
  const environment = base.extend({
    variables: { variables: type },
    structTypes: [{ name: type.name, field: (name) => (name === "a" || name === "b" ? cel.intType : undefined) }],
  });
  const variables = new cel.LazyObject(type, { a: () => 1n, b: () => new cel.CelError("b failed") });
  assert.equal(compiled("variables.a + 1", environment).evaluate({ variables }).value, 2n);
  assert.equal(compiled("variables.b + 1", environment).evaluate({ variables }).error?.message, "b failed");
  assert.match(environment.compile("variables.c").issues ?? "", /undefined field 'c'/);
});

test("program: authorization checks are waited for, and asked once", async () => {
  const environment = base.extend({
    variables: { authorizer: cel.authorizerType, "authorizer.requestResource": cel.resourceCheckType },
  });
  const asked: string[] = [];
  const authorizer = cel.createAuthorizer({
    user: { name: "alice" },
    authorize: async ({ user, verb, resource, namespace }) => {
      asked.push(`${user.name} ${verb} ${resource} in ${namespace}`);
      return { decision: verb === "get" ? "allow" : "deny", reason: "because" };
    },
  });
  const resource = cel.createResourceCheck(authorizer, { group: "", resource: "pods", namespace: "n" });
  const program = compiled(
    "authorizer.requestResource.check('get').allowed() && " +
      "authorizer.serviceAccount('default', 'robot').group('apps').resource('deployments').check('create').reason() == 'because'",
    environment,
  );
  const variables = { authorizer, "authorizer.requestResource": resource };
  assert.throws(() => program.evaluate(variables), cel.PendingChecks);
  const { value: allowed, cost } = await program.evaluateAsync(variables);
  assert.deepEqual({ allowed, cost }, { allowed: true, cost: 700_008 });
  assert.deepEqual(asked, ["alice get pods in n", "system:serviceaccount:default:robot create deployments in "]);
});

test("program: objects without schema, as mutating policies make them", () => {
  const environment = base.extend({ libraries: ["jsonpatch"], resolveType: cel.resolveMutationType });
  const made = compiled("Object{spec: Object.spec{replicas: 2, names: ['a']}}", environment).evaluate({});
  assert.deepEqual(cel.toJson(made.value as cel.CelValue), { spec: { replicas: 2, names: ["a"] } });
  const misnamed = compiled("Object{spec: Object.status{replicas: 2}}", environment).evaluate({});
  assert.equal(
    cel.typeNameProblems(misnamed.value as cel.CelValue),
    'unexpected type name "Object.status", expected "Object.spec", which matches field name path from root Object type',
  );
  const patches = compiled(
    "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('x/y'), value: {'k': 1}}]",
    environment,
  );
  assert.deepEqual(cel.toJson(patches.evaluate({}).value as cel.CelValue), [
    { op: "add", path: "/a/x~1y", value: { k: 1 } },
  ]);
});

test("program: the estimate comes before the first evaluation", () => {
  const program = compiled("1 + 1");
  assert.deepEqual(program.estimateCost(), { min: 1, max: 1 });
  program.evaluate({});
  assert.throws(() => program.estimateCost(), /estimated before/);
});

test("values: JSON is read lazily and written back", () => {
  const self = { n: 1, f: 1.5, s: "x", b: true, z: null, l: [1, { a: 2 }], m: { k: [3] } };
  assert.deepEqual(value("self", self), self);
  assert.equal(value("self.l[1].a + self.m.k[0]", self), 5);
  assert.deepEqual(
    value("[self.f, dyn(2.0), dyn(duration('90s')), dyn(b'hi'), dyn(timestamp('2020-01-01T00:00:00+01:00'))]", self),
    [1.5, 2, "90s", "aGk=", "2020-01-01T00:00:00+01:00"],
  );
  assert.equal(value("self.constructor", {}), "error: no such key: constructor");
});

test("values: a map of both integer types keeps its keys apart", () => {
  const map = new cel.EntryMap().set(1n, "int").set(new cel.Uint(1n), "uint");
  assert.equal(map.size, 2);
  assert.equal(map.find(1n), "int");
  assert.equal(map.find(new cel.Uint(1n)), "uint");
  assert.equal(map.find(1), "int");
});

test("names: what cannot be written is escaped, and back", () => {
  const escaped = {
    "a.b": "a__dot__b",
    "a-b/c": "a__dash__b__slash__c",
    a__b: "a__underscores__b",
    namespace: "__namespace__",
  };
  for (const [name, text] of Object.entries(escaped)) {
    assert.equal(cel.escapeName(name), text);
    assert.equal(cel.unescapeName(text), name);
  }
  assert.equal(cel.escapeName("1a"), undefined);
  assert.equal(cel.escapeName("a b"), undefined);
  assert.equal(cel.unescapeName("__nope__"), undefined);
  assert.equal(cel.unescapeName("x__namespace__"), undefined);
});

const sized = (schema: cel.JsonSchema): number | undefined => cel.schemaDeclType(schema)?.maxElements;
const request = cel.maxRequestSizeBytes - 2;

test("types from schemas: sizes come from bounds, else from the largest request", () => {
  const table: [cel.JsonSchema, number | undefined][] = [
    [{ type: "string" }, request],
    [{ type: "string", maxLength: 10 }, 40],
    [{ type: "string", enum: ["a", "bcd"] }, 3],
    [{ type: "string", format: "date-time" }, 32],
    [{ type: "string", format: "byte", maxLength: 10 }, 10],
    [{ type: "integer" }, 0],
    [{ "x-kubernetes-int-or-string": true }, request],
    [{ type: "array", items: { type: "integer" } }, Math.floor(request / 2)],
    [{ type: "array", maxItems: 5, items: { type: "integer" } }, 5],
    [{ type: "object", additionalProperties: { type: "string" } }, Math.floor(request / 8)],
    [{ "x-kubernetes-preserve-unknown-fields": true }, undefined],
  ];
  for (const [schema, size] of table) assert.equal(sized(schema), size, JSON.stringify(schema));
});

test("types from schemas: required fields count for the smallest object", () => {
  const items: cel.JsonSchema = {
    type: "object",
    required: ["name", "size"],
    properties: { name: { type: "string" }, size: { type: "integer", default: 1 }, other: { type: "string" } },
  };
  assert.equal(cel.schemaDeclType(items)?.minSerializedSize, 2 + 4 + 2 + 4);
  const list = cel.schemaDeclType({ type: "array", items });
  assert.equal(list?.maxElements, Math.floor(request / 13));
});
