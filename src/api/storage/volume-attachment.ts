/** VolumeAttachment: that a volume shall be attached to a node, and whether it is. Follows upstream's registry/storage/volumeattachment. */
import { type FieldError, nameIsDnsSubdomain, rangeMessage } from "#machinery";
import { ageColumn } from "../columns.ts";
import { validateVolumeSpec } from "../core/persistent-volume/validate.ts";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { validateCsiDriverName } from "../pod-spec/volume-sources.ts";
import { resetMetaForStatus } from "../strategy.ts";
import type { VolumeAttachment, VolumeAttachmentSource, VolumeError } from "../types.d.ts";
import { countBytes } from "./parameters.ts";

/** Of what the driver says about the attached volume; protects the store. */
const metadataBytesMax = 256 * 1024;
const messageBytesMax = 1024;
const int32Max = 2 ** 31 - 1;

function validateAttachment({ spec, status }: VolumeAttachment): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("spec", errors);
  validateCsiDriverName(spec.attacher, at.child("attacher"));
  validateSource(spec.source ?? {}, at.child("source"));
  const nodeName = spec.nodeName ?? "";
  at.child("nodeName").invalidEach(nodeName, nameIsDnsSubdomain(nodeName, false));
  const statusAt = Place.root("status", errors);
  if (countBytes(status?.attachmentMetadata) > metadataBytesMax) {
    statusAt.child("attachmentMetadata").tooLong(metadataBytesMax);
  }
  validateError(status?.attachError, statusAt.child("attachError"));
  validateError(status?.detachError, statusAt.child("detachError"));
  const name = spec.source?.persistentVolumeName;
  if (name !== undefined) {
    at.child("source").child("persistentVolumeName").invalidEach(name, nameIsDnsSubdomain(name, false));
  }
  return errors;
}

const exactlyOne = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

function validateSource({ inlineVolumeSpec, persistentVolumeName }: VolumeAttachmentSource, at: Place): void {
  if (inlineVolumeSpec) {
    if (persistentVolumeName !== undefined) at.forbidden(exactlyOne);
    else validateVolumeSpec(inlineVolumeSpec, at.child("inlineVolumeSpec"), { name: "", inline: true });
  } else if (persistentVolumeName === undefined) at.required(exactlyOne);
  else if (persistentVolumeName === "") {
    at.child("persistentVolumeName").required("must specify non empty persistentVolumeName");
  }
}

function validateError(error: VolumeError | undefined, at: Place): void {
  // The maximum that upstream names is another one.
  if (Buffer.byteLength(error?.message ?? "") > messageBytesMax) at.child("message").tooLong(metadataBytesMax);
  const code = error?.errorCode;
  if (code !== undefined && code < 0) at.child("errorCode").invalid(code, rangeMessage(0, int32Max));
}

function validateUpdate(attachment: VolumeAttachment, old: VolumeAttachment): FieldError[] {
  const errors = validateAttachment(attachment);
  if (!semanticEqual(attachment.spec, old.spec)) {
    const printed = goStruct("api.storage.v1.VolumeAttachmentSpec", attachment.spec);
    Place.root("spec", errors).invalid(printed, "field is immutable");
  }
  return errors;
}

export const volumeAttachmentKind = defineKind<VolumeAttachment>({
  group: "storage.k8s.io",
  kind: "VolumeAttachment",
  resource: "volumeattachments",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,
  resetFields: ["status"],

  prepareForCreate(attachment) {
    attachment.status = { attached: false };
  },
  prepareForUpdate(attachment, old) {
    attachment.status = old.status ?? { attached: false };
  },
  validate: validateAttachment,
  validateUpdate,

  subresources: {
    status: {
      resetFields: ["metadata", "spec"],
      prepareForUpdate(attachment, old) {
        attachment.spec = old.spec;
        resetMetaForStatus(attachment, old);
      },
      validateUpdate,
    },
  },

  columns: [
    {
      name: "Attacher",
      type: "string",
      format: "name",
      description: { field: "V1VolumeAttachmentSpec.attacher" },
      of: ({ spec }) => spec.attacher,
    },
    {
      name: "PV",
      type: "string",
      description: { field: "V1VolumeAttachmentSource.persistentVolumeName" },
      of: ({ spec }) => spec.source?.persistentVolumeName ?? "",
    },
    {
      name: "Node",
      type: "string",
      description: { field: "V1VolumeAttachmentSpec.nodeName" },
      of: ({ spec }) => spec.nodeName,
    },
    {
      name: "Attached",
      type: "boolean",
      description: { field: "V1VolumeAttachmentStatus.attached" },
      of: ({ status }) => status?.attached ?? false,
    },
    ageColumn,
  ],
});
