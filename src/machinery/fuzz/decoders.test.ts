/**
 * Whatever comes in, a decoder answers a value or one of its own refusals, leaves what it was given alone, and what it accepted comes
 * back the same when it is written and read once more. Runs are few here; `FUZZ_RUNS=100000` looks longer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeCbor } from "../cbor/decode.ts";
import { encodeCbor } from "../cbor/encode.ts";
import { decodeApplyPatch, decodeCborApply, decodeJsonObject, decodeObject, decodeValue } from "../decode.ts";
import { withoutDecimals } from "../decimal.ts";
import { createProtobufCodec, decodeEnvelope, ProtobufError } from "../protobuf.ts";
import { parseFieldSelector } from "../field-selector.ts";
import { parseLabelSelector } from "../label-selector-text.ts";
import { SelectorError } from "../label-selector.ts";
import { type PatchMediaType, readPatch } from "../patch/patch.ts";
import { parseQuantity, printQuantity, QuantityError } from "../quantity.ts";
import { workload } from "../sample-types.ts";
import { StatusError } from "../status.ts";
import { omitEmpty } from "../stored-form.ts";
import { anyJson, type Fuzz, fuzz, type Random } from "#testing";

const sample = {
  apiVersion: "test/v1",
  kind: "Workload",
  metadata: { name: "a", labels: { x: "1" }, finalizers: ["f"], creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: {
    containers: [
      {
        name: "c",
        image: "i",
        args: ["x", "y"],
        ports: [{ name: "p", containerPort: 80, targetPort: "web" }],
        limits: { cpu: "1.5" },
      },
      { name: "d", env: [{ name: "e", value: "\u00fc" }], stdin: true },
    ],
    strategy: { type: "t", rollingUpdate: { maxSurge: 1 } },
    nodeSelector: { a: "b" },
    grace: 30,
    extra: { any: [1, null, 1.5, { deep: [] }] },
  },
  data: { k: "v" },
  secret: { s: "AQID" },
  seen: "2026-01-01T00:00:00.000001Z",
};
const text = JSON.stringify(sample);
const jsonWords = [
  "null",
  "[]",
  "{}",
  "[[[[[[[[",
  '{"a":'.repeat(20),
  "\\ud800",
  "1e999",
  "-0",
  "1.0",
  "9223372036854775808",
  '"name"',
  '"__proto__":',
  "\ufeff",
];
const options = {
  expected: { apiVersion: "test/v1", kind: "Workload" },
  schemaOf: (_apiVersion: string, kind: string) => (kind === "Workload" ? workload : undefined),
};

/** A refusal that a client gets; anything else is a fault of ours. */
function refused(error: unknown): undefined {
  if (error instanceof StatusError && (error.status.code ?? 500) < 500) return undefined;
  throw error;
}

const fieldValidations = ["Ignore", "Warn", "Strict"] as const;

/** Written and read again it is the same, and so are its empty lists once they are gone. */
function checkStable(read: object): void {
  const object = { ...read, ...options.expected };
  omitEmpty(object, workload);
  const again = decodeValue(JSON.parse(JSON.stringify(object)), { ...options, mediaType: "application/json" }).object;
  omitEmpty(again, workload);
  assert.deepEqual(again, JSON.parse(JSON.stringify(object)));
}

const bodies: readonly Omit<Fuzz, "runs">[] = [
  {
    name: "json",
    samples: [text, JSON.stringify(sample, null, 2), "{}"],
    words: jsonWords,
    run(input, random) {
      const fieldValidation = random.pick(fieldValidations);
      try {
        checkStable(decodeJsonObject(input, { ...options, mediaType: "application/json", fieldValidation }).object);
      } catch (error) {
        refused(error);
      }
    },
  },
  {
    name: "yaml",
    samples: [
      text,
      "apiVersion: test/v1\nkind: Workload\nmetadata: &m {name: a}\nspec:\n  containers:\n  - name: c\n    args: [x, 'y']\n  grace: 010\ndata:\n  k: |\n    v\n  l: yes\n---\nx: 1\n",
      "a: &a [1, *b]\nb: {<<: *a}\n? x\n: y\n",
    ],
    words: [
      "---\n",
      "&a ",
      "*a",
      "<<: ",
      "!!binary ",
      "!!int ",
      "%YAML 1.1\n",
      "\t",
      "- ",
      "? ",
      ": ",
      "|+\n",
      "0x1F",
      ".nan",
      "\u0085",
    ],
    run: (input, random) => {
      const fieldValidation = random.pick(fieldValidations);
      return decodeObject(input, { ...options, mediaType: "application/yaml", fieldValidation }).then(
        ({ object }) => checkStable(object),
        refused,
      );
    },
  },
  {
    name: "cbor",
    samples: [encodeCbor(sample, workload), encodeCbor(sample), Buffer.from("bf6161fa47c350005f42010241ffffff", "hex")],
    words: ["\xd9\xd9\xf7", "\xbf", "\xff", "\x9f", "\xc0", "\xd6", "\xfb"],
    run: (input) =>
      decodeObject(input, { ...options, mediaType: "application/cbor" }).then(
        ({ object }) => checkStable(object),
        refused,
      ),
  },
  {
    name: "apply",
    samples: [text, "a: 1\nb: [x]\n", "{}"],
    words: jsonWords,
    run: (input, random) =>
      decodeApplyPatch(input, random.pick(fieldValidations)).then(({ object }) => JSON.stringify(object), refused),
  },
  {
    name: "cbor apply",
    samples: [encodeCbor(sample)],
    run: (input) => decodeCborApply(input).then(JSON.stringify, refused),
  },
];

test("fuzz: bodies of any format are read or refused, and what is read is stable", {
  concurrency: false,
}, async (t) => {
  for (const body of bodies) await t.test(body.name, () => fuzz({ ...body, runs: 1500 }));
});

test("fuzz: CBOR of any value comes back", () =>
  fuzz({
    name: "cbor",
    samples: [""],
    runs: 1500,
    run(_input, random) {
      const value = JSON.parse(JSON.stringify(anyJson(random)));
      assert.deepEqual(withoutDecimals(decodeCbor(encodeCbor(value))) ?? null, value);
    },
  }));

test("fuzz: protobuf is read or refused, and what is read comes back the same", () => {
  const codec = createProtobufCodec("kubernetes");
  const envelope = codec.encodeObject(workload, sample);
  return fuzz({
    name: "protobuf",
    samples: [envelope, codec.encode(workload, sample)],
    runs: 2500,
    run(input) {
      try {
        const raw = input.subarray(0, 4).equals(envelope.subarray(0, 4)) ? decodeEnvelope(input).raw : input;
        const object = codec.decode(workload, raw);
        const bytes = codec.encode(workload, object);
        assert.deepEqual(codec.encode(workload, codec.decode(workload, bytes)), bytes);
      } catch (error) {
        if (!(error instanceof ProtobufError)) throw error;
      }
    },
  });
});

const patches: readonly (readonly [PatchMediaType, readonly unknown[]])[] = [
  [
    "application/json-patch+json",
    [
      [{ op: "add", path: "/spec/containers/-", value: { name: "z" } }],
      [
        { op: "move", from: "/data/k", path: "/data/l" },
        { op: "test", path: "/data/l", value: "v" },
      ],
      [
        { op: "copy", from: "/spec", path: "/spec/extra" },
        { op: "remove", path: "/spec/containers/0" },
      ],
      [{ op: "replace", path: "", value: {} }],
    ],
  ],
  ["application/merge-patch+json", [{ spec: { containers: null, grace: 1 } }, { data: { k: null, l: "x" } }]],
  [
    "application/strategic-merge-patch+json",
    [
      {
        spec: {
          containers: [
            { name: "c", $patch: "delete" },
            { name: "d", image: "x" },
          ],
          "$setElementOrder/containers": [{ name: "d" }],
        },
      },
      { metadata: { "$deleteFromPrimitiveList/finalizers": ["f"], finalizers: ["g"] } },
      { spec: { strategy: { $retainKeys: ["type"], type: "u" }, nodeSelector: { $patch: "replace", c: "d" } } },
    ],
  ],
];

test("fuzz: patches are applied or refused, and leave the original alone", { concurrency: false }, async (t) => {
  for (const [mediaType, samples] of patches) {
    const words = [
      ...jsonWords,
      '"$patch":"replace"',
      '"$setElementOrder/ports":',
      "/-",
      "/0",
      "~1",
      "-1",
      '"op":"copy"',
    ];
    await t.test(mediaType, () =>
      fuzz({
        name: mediaType,
        samples: samples.map((patch) => JSON.stringify(patch)),
        words,
        runs: 1500,
        run(input, random) {
          applyPatch(input, mediaType, random);
        },
      }),
    );
  }
});

function applyPatch(input: Buffer, mediaType: PatchMediaType, random: Random): void {
  const original = JSON.parse(text);
  try {
    const patch = readPatch(input, { mediaType, fieldValidation: random.pick(fieldValidations) });
    checkStable(patch.apply(original, workload).object);
  } catch (error) {
    // Upstream calls some of what is wrong with a strategic patch its own fault.
    if (!(error instanceof StatusError)) throw error;
  }
  assert.equal(JSON.stringify(original), text);
}

test("selectors: long runs of one character are read in linear time", () => {
  // A pattern that isn't linear takes minutes: the test's own limit is what fails.
  for (const piece of [",", "!", "(", "=", " ", "a,", "a ", "!,", "\\\\"]) {
    const long = piece.repeat(100_000 / piece.length);
    for (const selector of [`a${long}b`, `a in (${long})`]) {
      for (const parse of [parseLabelSelector, parseFieldSelector]) {
        try {
          parse(selector);
        } catch (error) {
          assert.ok(error instanceof SelectorError);
        }
      }
    }
  }
});

test("fuzz: selectors and quantities are read or refused", async (t) => {
  const known = (type: new (...args: never[]) => Error, run: (text: string) => void) => (input: Buffer) => {
    try {
      run(input.toString("utf8"));
    } catch (error) {
      if (!(error instanceof type)) throw error;
    }
  };
  const runs = 3000;
  await t.test("label selector", () =>
    fuzz({
      name: "label selector",
      samples: ["a=b,c!=d", "x in (a, b),y notin (c),!z,w", "n>5,m<6", "a/b==c"],
      words: [" in ", " notin ", "(", ")", "!", ",", "==", ">", "exists"],
      runs,
      run: known(SelectorError, (selector) => void parseLabelSelector(selector).matches({ a: "b", n: "7" })),
    }),
  );
  await t.test("field selector", () =>
    fuzz({
      name: "field selector",
      samples: ["metadata.name=a,spec.x!=b", "a==\\,b", "x="],
      words: ["\\", "\\,", "==", "!="],
      runs,
      run: known(SelectorError, (selector) => void parseFieldSelector(selector).requirements.length),
    }),
  );
  await t.test("quantity", () =>
    fuzz({
      name: "quantity",
      samples: ["1", "-1.5", "500m", "1Ki", "2e3", "1E-9", "12345678901234567890", "0.000000001"],
      words: ["n", "u", "m", "k", "Ki", "Ei", "e", "E", "+", ".", "9".repeat(60), "e999999999"],
      runs,
      run: known(QuantityError, (quantity) => {
        const printed = printQuantity(parseQuantity(quantity));
        // What is beyond every suffix is printed in full, and longer than what is read.
        if (printed.length <= 1000) assert.equal(printQuantity(parseQuantity(printed)), printed);
      }),
    }),
  );
});
