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
  unknownField: (field) => `field label not supported: ${field}`,
  columns: [
    ageColumn,
    {
      name: "SignerName",
      type: "string",
      description:
        'signerName indicates the requested signer, and is a qualified name.\n\nList/watch requests for CertificateSigningRequests can filter on this field using a "spec.signerName=NAME" fieldSelector.\n\nWell-known Kubernetes signers are:\n 1. "kubernetes.io/kube-apiserver-client": issues client certificates that can be used to authenticate to kube-apiserver.\n  Requests for this signer are never auto-approved by kube-controller-manager, can be issued by the "csrsigning" controller in kube-controller-manager.\n 2. "kubernetes.io/kube-apiserver-client-kubelet": issues client certificates that kubelets use to authenticate to kube-apiserver.\n  Requests for this signer can be auto-approved by the "csrapproving" controller in kube-controller-manager, and can be issued by the "csrsigning" controller in kube-controller-manager.\n 3. "kubernetes.io/kubelet-serving" issues serving certificates that kubelets use to serve TLS endpoints, which kube-apiserver can connect to securely.\n  Requests for this signer are never auto-approved by kube-controller-manager, and can be issued by the "csrsigning" controller in kube-controller-manager.\n\nMore details are available at https://k8s.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers\n\nCustom signerNames can also be specified. The signer defines:\n 1. Trust distribution: how trust (CA bundles) are distributed.\n 2. Permitted subjects: and behavior when a disallowed subject is requested.\n 3. Required, permitted, or forbidden x509 extensions in the request (including whether subjectAltNames are allowed, which types, restrictions on allowed values) and behavior when a disallowed extension is requested.\n 4. Required, permitted, or forbidden key usages / extended key usages.\n 5. Expiration/certificate lifetime: whether it is fixed by the signer, configurable by the admin.\n 6. Whether or not requests for CA certificates are allowed.',
      of: ({ spec }) => spec.signerName || none,
    },
    {
      name: "Requestor",
      type: "string",
      description:
        'request contains an x509 certificate signing request encoded in a "CERTIFICATE REQUEST" PEM block. When serialized as JSON or YAML, the data is additionally base64-encoded.',
      of: ({ spec }) => spec.username ?? "",
    },
    {
      name: "RequestedDuration",
      type: "string",
      description:
        "expirationSeconds is the requested duration of validity of the issued certificate. The certificate signer may issue a certificate with a different validity duration so a client must check the delta between the notBefore and and notAfter fields in the issued certificate to determine the actual duration.\n\nThe v1.22+ in-tree implementations of the well-known Kubernetes signers will honor this field as long as the requested duration is not greater than the maximum duration they will honor per the --cluster-signing-duration CLI flag to the Kubernetes controller manager.\n\nCertificate signers may not honor this field for various reasons:\n\n  1. Old signer that is unaware of the field (such as the in-tree\n     implementations prior to v1.22)\n  2. Signer whose configured maximum is shorter than the requested duration\n  3. Signer whose configured minimum is longer than the requested duration\n\nThe minimum valid value for expirationSeconds is 600, i.e. 10 minutes.",
      of: ({ spec }) => (spec.expirationSeconds === undefined ? none : humanDuration(spec.expirationSeconds * 1000)),
    },
    {
      name: "Condition",
      type: "string",
      description: 'conditions applied to the request. Known conditions are "Approved", "Denied", and "Failed".',
      of: printState,
    },
  ],
});
