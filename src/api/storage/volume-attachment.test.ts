import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { volumeAttachmentKind } from "./volume-attachment.ts";

const spec = { attacher: "d.example.com", nodeName: "n", source: { persistentVolumeName: "pv" } };
const made = (more: object = {}) => tryCreate(volumeAttachmentKind, { spec: { ...spec, ...more } });
const exactlyOne = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

test("volume attachment: a fresh one is not attached", () => {
  const { object, errors } = tryCreate(volumeAttachmentKind, { spec, status: { attached: true } });
  assert.deepEqual([errors, object.status], [[], { attached: false }]);
  const { Age: _, ...cells } = tryColumns(volumeAttachmentKind, object);
  assert.deepEqual(cells, { Attacher: "d.example.com", PV: "pv", Node: "n", Attached: false });
});

test("volume attachment: what is refused", () => {
  const subdomain =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
  const inline = {
    accessModes: ["ReadWriteOnce"],
    csi: { driver: "d", volumeHandle: "v" },
  };
  const cases: [object, string[]][] = [
    [{ attacher: "" }, ["spec.attacher: Required value"]],
    [{ attacher: "a_b" }, [`spec.attacher: Invalid value: "a_b": ${subdomain}`]],
    [{ nodeName: "" }, [`spec.nodeName: Invalid value: "": ${subdomain}`]],
    [{ source: {} }, [`spec.source: Required value: ${exactlyOne}`]],
    [{ source: { persistentVolumeName: "pv", inlineVolumeSpec: inline } }, [`spec.source: Forbidden: ${exactlyOne}`]],
    [{ source: { persistentVolumeName: "P" } }, [`spec.source.persistentVolumeName: Invalid value: "P": ${subdomain}`]],
    [{ source: { inlineVolumeSpec: inline } }, []],
    [
      { source: { inlineVolumeSpec: { ...inline, capacity: { storage: "1Gi" } } } },
      ["spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes"],
    ],
  ];
  for (const [more, expected] of cases) assert.deepEqual(made(more).errors, expected);
});

test("volume attachment: the spec stays, the attacher writes the status", () => {
  const { object } = made();
  const { errors } = tryUpdate(volumeAttachmentKind, object, {
    change(attachment) {
      attachment.spec.nodeName = "m";
    },
  });
  const printed =
    '{"Attacher":"d.example.com","Source":{"PersistentVolumeName":"pv","InlineVolumeSpec":null},"NodeName":"m"}';
  assert.deepEqual(errors, [`spec: Invalid value: ${printed}: field is immutable`]);

  const attached = tryUpdate(volumeAttachmentKind, object, {
    subresource: "status",
    change(attachment) {
      attachment.spec.nodeName = "m";
      attachment.metadata.labels = { a: "b" };
      attachment.status = { attached: true, attachError: { message: "m".repeat(1025), errorCode: -1 } };
    },
  });
  assert.deepEqual([attached.object.spec.nodeName, attached.object.metadata.labels], ["n", undefined]);
  assert.deepEqual(
    [...new Set(attached.errors)],
    [
      "status.attachError.message: Too long: may not be more than 262144 bytes",
      "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ],
  );
});
