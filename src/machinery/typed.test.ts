import assert from "node:assert/strict";
import { test } from "node:test";
import { measureJson } from "./json-text.ts";
import { workload } from "./sample-types.ts";
import { checkTyped, type TypedOptions } from "./typed.ts";

type Json = Record<string, unknown>;

function check(text: string, options: TypedOptions = {}): { object: Json; strictErrors: readonly string[] } {
  const object: Json = JSON.parse(text);
  const { strictErrors } = checkTyped(object, workload, options);
  return { object, strictErrors };
}

const strictly = (text: string) => check(text, { source: { text, members: measureJson(text).members } }).strictErrors;

const spec = (members: string) => `{"spec":{${members}}}`;

test("typed: values of a wrong type are refused in Go's words", () => {
  const cases: [text: string, message: string][] = [
    ['{"data":{"a":1}}', "json: cannot unmarshal number into Go struct field Workload.data of type string"],
    ['{"data":[]}', "json: cannot unmarshal array into Go struct field Workload.data of type map[string]string"],
    ['{"metadata":"x"}', "json: cannot unmarshal string into Go struct field Workload.metadata of type v1.ObjectMeta"],
    [
      '{"metadata":{"labels":{"a":true}}}',
      "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
    ],
    [
      spec('"containers":[{"ports":[{"containerPort":"x"}]}]'),
      "json: cannot unmarshal string into Go struct field Port.spec.containers.ports.containerPort of type int32",
    ],
    [
      spec('"containers":[{"ports":[{"containerPort":1.5}]}]'),
      "json: cannot unmarshal number 1.5 into Go struct field Port.spec.containers.ports.containerPort of type int32",
    ],
    [
      spec('"containers":[{"ports":[{"containerPort":2147483648}]}]'),
      "json: cannot unmarshal number 2147483648 into Go struct field Port.spec.containers.ports.containerPort of type int32",
    ],
    [
      spec('"containers":{}'),
      "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
    ],
    [spec('"grace":1e30'), "json: cannot unmarshal number 1e+30 into Go struct field PodSpec.spec.grace of type int64"],
    [
      spec('"containers":[{"ports":[{"targetPort":true}]}]'),
      "json: cannot unmarshal bool into Go struct field Port.spec.containers.ports.targetPort of type int32",
    ],
    [
      spec('"containers":[{"ports":[{"targetPort":1.5}]}]'),
      "json: cannot unmarshal number 1.5 into Go struct field Port.spec.containers.ports.targetPort of type int32",
    ],
    [
      spec('"containers":[{"limits":{"cpu":"x"}}]'),
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      '{"metadata":{"creationTimestamp":1}}',
      "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
    ],
    [
      '{"metadata":{"creationTimestamp":"now"}}',
      'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"',
    ],
    ['{"secret":{"a":"*"}}', "illegal base64 data at input byte 0"],
    ['{"secret":{"a":"MQ="}}', "illegal base64 data at input byte 3"],
    ['{"secret":{"a":"MQ==x"}}', "illegal base64 data at input byte 4"],
    ['{"secret":{"a":"MTI"}}', "illegal base64 data at input byte 0"],
    // The first mismatch is told, unless a type's own reader fails later.
    [
      '{"data":1,"metadata":1}',
      "json: cannot unmarshal number into Go struct field Workload.data of type map[string]string",
    ],
    ['{"data":1,"seen":2}', "json: cannot unmarshal number into Go struct field Workload.seen of type string"],
  ];
  for (const [text, message] of cases) assert.throws(() => check(text), { message }, text);
});

test("typed: after a patch of a map the words are the converter's", () => {
  const cases: [text: string, message: string][] = [
    ['{"data":{"a":1}}', "cannot convert int64 to string"],
    ['{"data":"x"}', "cannot restore map from string"],
    ['{"metadata":[]}', "cannot restore struct from: slice"],
    [spec('"containers":{}'), "cannot restore slice from map"],
  ];
  for (const [text, message] of cases) assert.throws(() => check(text, { fromMap: true }), { message }, text);
});

test("typed: an object becomes what upstream prints after decoding it", () => {
  const { object } = check(`{
    "metadata": {"name": "a", "labels": {}, "finalizers": [], "creationTimestamp": null, "unknown": 1},
    "spec": {
      "containers": [{"image": "", "stdin": false, "args": ["x", null], "limits": {"cpu": "0.5", "mem": 1024, "n": null},
        "ports": [{"targetPort": null}, null]}],
      "automount": false, "hostNetwork": false, "nodeSelector": {"a": null}, "extra": {"kept": null}, "grace": null
    },
    "secret": {"a": "MTI=", "b": "M\\nQ==", "c": "MR==", "d": null},
    "seen": "2026-01-01T00:00:00.000001+01:00"
  }`);
  assert.deepEqual(object, {
    metadata: { name: "a", labels: {}, finalizers: [] },
    spec: {
      containers: [
        {
          name: "",
          args: ["x", ""],
          limits: { cpu: "500m", mem: "1024", n: "0" },
          ports: [{ containerPort: 0 }, { containerPort: 0 }],
        },
      ],
      automount: false,
      nodeSelector: { a: "" },
      extra: { kept: null },
      strategy: {},
    },
    secret: { a: "MTI=", b: "MQ==", c: "MQ==", d: null },
    seen: "2025-12-31T23:00:00.000001Z",
  });
});

test("typed: what upstream always prints is there, lists without items as null", () => {
  assert.deepEqual(check("{}").object, { metadata: {}, spec: { containers: null, strategy: {} } });
});

test("typed: an object that was checked before doesn't change", () => {
  const { object } = check(spec('"containers":[{"name":"a","limits":{"cpu":"1024Mi"}}]'));
  const before = JSON.stringify(object);
  checkTyped(object, workload);
  assert.equal(JSON.stringify(object), before);
});

test("typed: unknown fields are dropped and told", () => {
  const { object, strictErrors } = check(spec('"containers":[{"size":{"a":1}}],"colour":1'));
  assert.deepEqual(strictErrors, ['unknown field "spec.containers[0].size"', 'unknown field "spec.colour"']);
  assert.deepEqual(object.spec, { containers: [{ name: "" }], strategy: {} });
  assert.deepEqual(check('{"Metadata":{}}').strictErrors, ['unknown field "Metadata"'], "case matters");
});

test("typed: repeated keys are told in the order of the text, but not inside free-form JSON or unknown fields", () => {
  assert.deepEqual(strictly('{"data":{"a":"1","a":"2"},"odd":1,"data":{}}'), [
    'duplicate field "data.a"',
    'unknown field "odd"',
    'duplicate field "data"',
  ]);
  assert.deepEqual(strictly(spec('"extra":{"a":1,"a":2}')), []);
  assert.deepEqual(strictly('{"odd":{"a":1,"a":2}}'), ['unknown field "odd"']);
  assert.deepEqual(strictly('{"data":{"a":"1"},"spec":{"extra":{"b":[{"c":1}]}}}'), []);
});

test("typed: no more than a hundred complaints", () => {
  const text = JSON.stringify(Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x${i}`, 1])));
  assert.equal(check(text).strictErrors.length, 100);
});

test("typed: keys that JavaScript knows are ordinary keys", () => {
  const { object, strictErrors } = check(
    '{"data":{"__proto__":"a","constructor":"b"},"toString":1,"__proto__":{"x":1}}',
  );
  assert.equal(JSON.stringify(object.data), '{"__proto__":"a","constructor":"b"}');
  assert.deepEqual(strictErrors, ['unknown field "toString"', 'unknown field "__proto__"']);
  assert.equal(Object.getPrototypeOf(object), Object.prototype);
});
