/**
 * CertificateSigningRequest: someone asks a signer for a certificate. Who asks is written down by the server; approval and issuing
 * are two subresources. Follows upstream's registry/certificates strategies; who may approve or sign is admission's.
 */
import { humanDuration } from "#machinery";
import { ageColumn, none } from "../columns.ts";
import { defineKind, type Strategy } from "../kind.ts";
import { setOrDelete } from "../strategy.ts";
import type { CertificateSigningRequest } from "../types.d.ts";
import { keepDecisions, stampConditions, validateRequestUpdate } from "./update.ts";
import { validateSigningRequest } from "./validate.ts";

function printState({ status = {} }: CertificateSigningRequest): string {
  const types = (status.conditions ?? []).map(({ type }) => type);
  const states = [types.includes("Denied") ? "Denied" : types.includes("Approved") ? "Approved" : "Pending"];
  if (types.includes("Failed")) states.push("Failed");
  if (status.certificate) states.push("Issued");
  return states.join(",");
}

const statusStrategy: Strategy<CertificateSigningRequest> = {
  resetFields: ["spec", "status.conditions"],
  prepareForUpdate(request, old, { now }) {
    request.spec = old.spec;
    keepDecisions(request, old);
    stampConditions(request, old, now);
  },
  validateUpdate: (request, old) => validateRequestUpdate(request, old, { issue: true }),
};

const approvalStrategy: Strategy<CertificateSigningRequest> = {
  resetFields: ["spec", "status.certificate"],
  prepareForUpdate(request, old, { now }) {
    stampConditions(request, old, now);
    const conditions = request.status?.conditions;
    request.spec = old.spec;
    request.status = { ...old.status };
    setOrDelete(request.status, { conditions });
  },
  validateUpdate: (request, old) => validateRequestUpdate(request, old, { approve: true }),
};

export const certificateSigningRequestKind = defineKind<CertificateSigningRequest>({
  group: "certificates.k8s.io",
  kind: "CertificateSigningRequest",
  resource: "certificatesigningrequests",
  storageVersion: "v1",
  resetFields: ["spec", "status"],
  validateName: () => [],

  prepareForCreate(request, { user }) {
    const { spec } = request;
    const hasExtra = Object.keys(user.extra).length > 0;
    setOrDelete(spec, {
      username: user.name || undefined,
      uid: user.uid || undefined,
      groups: user.groups.length > 0 ? [...user.groups] : undefined,
      extra: hasExtra
        ? Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]]))
        : undefined,
    });
    request.status = {};
  },
  prepareForUpdate(request, old) {
    request.spec = old.spec;
    setOrDelete(request, { status: old.status });
  },
  validate: (request) => validateSigningRequest(request),
  validateUpdate: (request, old) => validateRequestUpdate(request, old, {}),

  subresources: { status: statusStrategy, approval: approvalStrategy },

  selectableFieldNames: ["spec.signerName"],
  selectableFields: ({ spec }) => ({ "spec.signerName": spec.signerName ?? "" }),
  // Upstream lists the fields of this kind, and forgot this one.
  selectableField: (field) => (field === "metadata.namespace" ? undefined : field),
  unknownField: (field) => `field label not supported: ${field}`,
  columns: [
    ageColumn,
    {
      name: "SignerName",
      type: "string",
      // Upstream's columns are described in v1beta1's words.
      description:
        'Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. If empty, it will be defaulted:\n 1. If it\'s a kubelet client certificate, it is assigned\n    "kubernetes.io/kube-apiserver-client-kubelet".\n 2. If it\'s a kubelet serving certificate, it is assigned\n    "kubernetes.io/kubelet-serving".\n 3. Otherwise, it is assigned "kubernetes.io/legacy-unknown".\nDistribution of trust for signers happens out of band. You can select on this field using `spec.signerName`.',
      of: ({ spec }) => spec.signerName || none,
    },
    {
      name: "Requestor",
      type: "string",
      description: "Base64-encoded PKCS#10 CSR data",
      of: ({ spec }) => spec.username ?? "",
    },
    {
      name: "RequestedDuration",
      type: "string",
      description: {
        field: "V1CertificateSigningRequestSpec.expirationSeconds",
        gaps: {
          "46": "\n\n",
          "85": "\n\n",
          "95": "\n\n  ",
          "108": "\n     ",
          "112": "\n  ",
          "123": "\n  ",
          "134": "\n\n",
        },
      },
      of: ({ spec }) => (spec.expirationSeconds === undefined ? none : humanDuration(spec.expirationSeconds * 1000)),
    },
    {
      name: "Condition",
      type: "string",
      description: "Conditions applied to the request, such as approval or denial.",
      of: printState,
    },
  ],
});
