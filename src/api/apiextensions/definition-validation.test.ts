import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { CustomResourceDefinition, JSONSchemaProps } from "../types.d.ts";
import { validateDefinition, validateDefinitionUpdate } from "./definition-validation.ts";
import { loadPatterns } from "./schema/pattern.ts";

before(() => loadPatterns({ pattern: "." }));

function definition(spec: JSONSchemaProps, more: object = {}): CustomResourceDefinition {
  return {
    metadata: { name: "things.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", properties: { spec } } },
          ...more,
        },
      ],
    },
    status: { storedVersions: ["v1"] },
  };
}

const at = "spec.validation.openAPIV3Schema.properties[spec]";
const texts = (object: CustomResourceDefinition) =>
  validateDefinition(object).map(({ field, message }) => `${field}: ${message}`);

const schemas: readonly [name: string, schema: JSONSchemaProps, errors: string[]][] = [
  ["an object with typed fields", { type: "object", properties: { a: { type: "string" } } }, []],
  [
    "a field without a type",
    { type: "object", properties: { a: {} } },
    [`${at}.properties[a].type: Required value: must not be empty for specified object fields`],
  ],
  [
    "int-or-string with its alternatives",
    {
      type: "object",
      properties: { a: { "x-kubernetes-int-or-string": true, anyOf: [{ type: "integer" }, { type: "string" }] } },
    },
    [],
  ],
  [
    "a type under anyOf",
    { type: "object", anyOf: [{ type: "object" }] },
    [`${at}.anyOf[0].type: Forbidden: must be empty to be structural`],
  ],
  [
    "a pattern that Go can't read",
    { type: "string", pattern: "a(?=b)" },
    [
      `${at}.pattern: Invalid value: "a(?=b)": must be a valid regular expression, but isn't: error parsing regexp: invalid or unsupported Perl syntax: \`(?=\``,
    ],
  ],
  [
    "a default that breaks its schema",
    { type: "integer", maximum: 3, default: 5 },
    [`${at}.default: Invalid value: 5:  in body should be less than or equal to 3`],
  ],
  [
    "a key of a map list that may be absent",
    {
      type: "array",
      items: { type: "object", properties: { k: { type: "string" } } },
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["k"],
    },
    [
      `${at}.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property`,
    ],
  ],
  [
    "items for each position",
    { type: "array", items: [{ type: "string" }] },
    [`${at}.items: Forbidden: items must be a schema object and not an array`],
  ],
];

for (const [name, schema, errors] of schemas)
  test(`schema of a definition: ${name}`, () => {
    assert.deepEqual(texts(definition(schema)), errors);
  });

test("definition: an update may leave an old schema as it is, but not its scope", () => {
  const old = definition({ type: "object", properties: { a: {} } });
  old.spec.preserveUnknownFields = true;
  old.status = { ...old.status, conditions: [{ type: "Established", status: "True" }] };
  assert.deepEqual(validateDefinitionUpdate(structuredClone(old), old), []);
  const next = structuredClone(old);
  next.spec.scope = "Cluster";
  assert.deepEqual(
    validateDefinitionUpdate(next, old).map(({ field, message }) => `${field}: ${message}`),
    ['spec.scope: Invalid value: "Cluster": field is immutable'],
  );
});

test("definition: selectable fields are scalars of the schema", () => {
  const spec: JSONSchemaProps = { type: "object", properties: { size: { type: "string" }, parts: { type: "object" } } };
  const selectableFields = [{ jsonPath: ".spec.size" }, { jsonPath: ".spec.parts" }, { jsonPath: ".metadata.name" }];
  assert.deepEqual(
    validateDefinition(definition(spec, { selectableFields })).map(({ field }) => field),
    ["spec.selectableFields[1].jsonPath", "spec.selectableFields[2].jsonPath"],
  );
});
