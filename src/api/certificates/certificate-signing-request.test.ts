import assert from "node:assert/strict";
import { before, test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { CertificateSigningRequest } from "../types.d.ts";
import { certificateSigningRequestKind as kind } from "./certificate-signing-request.ts";
import { newUserRequest } from "./trial-requests.ts";

const signerName = "kubernetes.io/kube-apiserver-client";
let request = "";
before(async () => {
  request = Buffer.from(await newUserRequest()).toString("base64");
});

const made = (spec: object = {}) =>
  tryCreate(kind, { spec: { request, signerName, usages: ["client auth"], ...spec } });
const approved = { type: "Approved", status: "True", reason: "Fine", message: "because" };
const denied = { ...approved, type: "Denied" };
const failed = { ...approved, type: "Failed" };
const now = "2026-01-02T03:04:05Z";
const stamped = (condition: object) => ({ ...condition, lastUpdateTime: now, lastTransitionTime: now });

type Conditions = NonNullable<NonNullable<CertificateSigningRequest["status"]>["conditions"]>;

function tryStatus(subresource: string, old: CertificateSigningRequest, status: object) {
  return tryUpdate(kind, old, {
    subresource,
    change(object) {
      object.status = status as { conditions?: Conditions }; // as a client may send it
    },
  });
}

test("signing request: who asks is what the server knows", () => {
  const { object, errors } = made({ username: "root", groups: ["system:masters"], uid: "1", extra: { a: ["b"] } });
  assert.deepEqual(errors, []);
  assert.equal(object.spec.username, "tester");
  assert.deepEqual([object.spec.groups, object.spec.uid, object.spec.extra], [undefined, undefined, undefined]);
  assert.deepEqual(object.status, {});
  assert.deepEqual(kind.selectableFields?.(object), { "spec.signerName": signerName });
});

test("signing request: what is refused", () => {
  const block = "PEM block type must be CERTIFICATE REQUEST";
  const legacy = "kubernetes.io/legacy-unknown";
  const form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
  const tooShort = "may not specify a duration less than 600 seconds (10 minutes)";
  const cases: [object, string[]][] = [
    [{ request: "Z2FyYmFnZQ==" }, [`spec.request: Invalid value: "Z2FyYmFnZQ==": ${block}`]],
    [{ usages: [] }, ["spec.usages: Required value"]],
    [{ usages: ["any", "any"] }, ['spec.usages[1]: Duplicate value: "any"']],
    [{ signerName: "" }, ["spec.signerName: Required value"]],
    [{ signerName: "x" }, [`spec.signerName: Invalid value: "x": ${form}`]],
    [
      { signerName: legacy },
      [`spec.signerName: Invalid value: "${legacy}": the legacy signerName is not allowed via this API version`],
    ],
    [{ expirationSeconds: 599 }, [`spec.expirationSeconds: Invalid value: 599: ${tooShort}`]],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(made(spec).errors, expected);
  const [unknown] = made({ usages: ["flying"] }).errors;
  assert.match(
    unknown ?? "",
    /^spec\.usages\[0\]: Unsupported value: "flying": supported values: "any", "cert sign", /,
  );
});

test("signing request: an update changes neither what is asked nor what was answered", () => {
  const { object } = made();
  const { errors, object: kept } = tryUpdate(kind, object, {
    change(each) {
      each.spec.signerName = "example.com/other";
      each.status = { conditions: [stamped(approved)] as Conditions }; // as a client may send it
      each.metadata.labels = { a: "b" };
    },
  });
  assert.deepEqual([errors, kept.spec.signerName, kept.status], [[], signerName, {}]);
  assert.deepEqual(kept.metadata.labels, { a: "b" });
});

test("signing request: approval decides once", () => {
  const { object } = made();
  const yes = tryStatus("approval", object, { conditions: [approved], certificate: "AAAA" });
  assert.deepEqual([yes.errors, yes.object.status], [[], { conditions: [stamped(approved)] }]);
  const exclusive = "Approved and Denied conditions are mutually exclusive";
  assert.deepEqual(tryStatus("approval", yes.object, { conditions: [approved, denied] }).errors, [
    `status.conditions: Invalid value: "Denied": ${exclusive}`,
  ]);
  assert.deepEqual(tryStatus("approval", yes.object, { conditions: [] }).errors, [
    'status.conditions: Forbidden: updates may not remove a condition of type "Approved"',
  ]);
  const later = { ...approved, status: "Unknown" };
  assert.deepEqual(tryStatus("approval", object, { conditions: [later] }).errors, [
    'status.conditions[0].status: Unsupported value: "Unknown": supported values: "True"',
  ]);
  assert.deepEqual(tryStatus("approval", object, { conditions: [{ type: "", status: "" }] }).errors, [
    "status.conditions[0].type: Required value",
    "status.conditions[0].status: Required value",
  ]);
});

test("signing request: the status issues, and decides nothing", () => {
  const { object } = made();
  const added = 'status.conditions: Forbidden: updates may not add a condition of type "Approved"';
  assert.deepEqual(tryStatus("status", object, { conditions: [approved] }).errors, [added]);
  const yes = tryStatus("approval", object, { conditions: [approved] }).object;
  const failing = tryStatus("status", yes, { conditions: [approved, failed] });
  assert.deepEqual([failing.errors, failing.object.status?.conditions?.length], [[], 2], "times may be left out");
  const pem = (text: string) => Buffer.from(text).toString("base64");
  const conditions = yes.status?.conditions;
  const cases: [string, string][] = [
    [pem("x"), "must contain at least one CERTIFICATE PEM block"],
    [
      pem("-----BEGIN CERTIFICATE-----\nA: b\n\nAAAA\n-----END CERTIFICATE-----\n"),
      "no PEM block headers are permitted",
    ],
    [pem("-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"), 'only CERTIFICATE PEM blocks are allowed, found "KEY"'],
    [pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "x509: malformed certificate"],
  ];
  for (const [certificate, why] of cases) {
    const { errors } = tryStatus("status", yes, { conditions, certificate });
    assert.deepEqual(errors, [`status.certificate: Invalid value: "<certificate data>": ${why}`]);
  }
  const issued = { ...yes, status: { ...yes.status, certificate: "AAAA" } };
  const { errors } = tryStatus("status", issued, { conditions, certificate: "" });
  assert.deepEqual(errors, ["status.certificate: Forbidden: updates may not modify existing certificate content"]);
});

test("signing request: a row of the table", () => {
  const { object } = made({ expirationSeconds: 3600 });
  const conditionOf = (...conditions: object[]) =>
    tryColumns(kind, { ...object, status: { conditions: conditions as Conditions } }).Condition; // as above
  const { Age: _, ...cells } = tryColumns(kind, object);
  assert.deepEqual(cells, {
    SignerName: signerName,
    Requestor: "tester",
    RequestedDuration: "60m",
    Condition: "Pending",
  });
  assert.equal(conditionOf(approved), "Approved");
  assert.equal(conditionOf(approved, failed), "Approved,Failed");
  assert.equal(conditionOf(approved, denied), "Denied");
  const issued = { ...object, status: { conditions: [stamped(approved)] as Conditions, certificate: "AAAA" } };
  assert.equal(tryColumns(kind, issued).Condition, "Approved,Issued");
});
