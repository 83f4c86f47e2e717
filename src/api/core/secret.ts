/** Secret: data that few may read. Some types promise certain keys. Follows upstream's registry/core/secret. */
import { type FieldError, JsonSyntaxError, parseJson } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { Secret } from "../types.d.ts";
import { whyNoKeyPair } from "./key-pair.ts";
import { countBytes, dataBytesMax, validateFrozen, validateKeys } from "./keyed-data.ts";

const accountAnnotation = "kubernetes.io/service-account.name";

function validateSecret(secret: Secret, errors: FieldError[] = []): FieldError[] {
  const { data } = secret;
  const at = Place.root("data", errors);
  validateKeys(data, at);
  if (countBytes(data, "base64") > dataBytesMax) at.tooLong(dataBytesMax);
  validateType(secret, at);
  return errors;
}

function validateType({ type, data = {}, metadata }: Secret, at: Place): void {
  const need = (...keys: string[]) => {
    for (const key of keys) if (data[key] === undefined) at.key(key).required();
  };
  switch (type) {
    case "kubernetes.io/service-account-token":
      if (!metadata.annotations?.[accountAnnotation]) {
        Place.root("metadata", at.errors).child("annotations").key(accountAnnotation).required();
      }
      return;
    case "kubernetes.io/dockercfg":
      validateRegistries(data, ".dockercfg", at);
      return;
    case "kubernetes.io/dockerconfigjson":
      validateRegistries(data, ".dockerconfigjson", at);
      return;
    case "kubernetes.io/basic-auth":
      if (!("username" in data || "password" in data)) need("username", "password");
      return;
    case "kubernetes.io/ssh-auth":
      if (!data["ssh-privatekey"]) at.key("ssh-privatekey").required();
      return;
    case "kubernetes.io/tls":
      need("tls.crt", "tls.key");
  }
}

function pairWarnings({ type, data = {} }: Secret): string[] {
  if (type !== "kubernetes.io/tls") return [];
  const text = (key: string) => Buffer.from(data[key] ?? "", "base64").toString("latin1");
  return [whyNoKeyPair(text("tls.crt"), text("tls.key")) ?? []].flat();
}

function validateRegistries(data: Readonly<Record<string, string>>, key: string, at: Place): void {
  const encoded = data[key];
  if (encoded === undefined) at.key(key).required();
  else {
    const complaint = complaintAboutObject(Buffer.from(encoded, "base64"));
    if (complaint !== "") at.key(key).invalid("<secret contents redacted>", complaint);
  }
}

/** Go's words for what is no JSON object; "" for one, and for null. */
function complaintAboutObject(json: Buffer): string {
  let value: unknown;
  try {
    value = parseJson(json);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
    throw error;
  }
  const type = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  return type === "object" ? "" : `json: cannot unmarshal ${type} into Go value of type map[string]interface {}`;
}

export const secretKind = defineKind<Secret>({
  group: "",
  kind: "Secret",
  resource: "secrets",
  storageVersion: "v1",

  defaults(secret) {
    const { stringData } = secret;
    if (stringData) {
      const data = { ...secret.data };
      for (const key of Object.keys(stringData)) data[key] = Buffer.from(stringData[key] ?? "").toString("base64");
      secret.data = data;
      delete secret.stringData;
    }
    secret.type ||= "Opaque";
  },
  validate: (secret) => validateSecret(secret),
  warningsOnCreate: pairWarnings,
  warningsOnUpdate: pairWarnings,
  validateUpdate(secret, old) {
    const at = Place.root("type");
    if (secret.type !== old.type) at.invalid(secret.type ?? "", "field is immutable");
    return validateSecret(secret, [...at.errors, ...validateFrozen(secret, old, ["data"]).errors]);
  },

  selectableFieldNames: ["type"],
  selectableFields: ({ type }) => ({ type: type ?? "" }),
  unknownField: (field) => `field label not supported: ${field}`,
  columns: [
    {
      name: "Type",
      type: "string",
      description: { field: "V1Secret.type" },
      of: ({ type }) => type ?? "",
    },
    {
      name: "Data",
      type: "string",
      description: { field: "V1Secret.data" },
      of: ({ data = {} }) => Object.keys(data).length,
    },
    ageColumn,
  ],
});
