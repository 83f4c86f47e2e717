/**
 * Certificates give identities away: only who may `approve` or `sign` for a signer writes those parts of a request, and nobody becomes
 * system:masters by one. Upstream's CertificateApproval, CertificateSigning and CertificateSubjectRestriction.
 */
import {
  type CertificateSigningRequest,
  type CertificateRequest,
  CertificateRequestError,
  type RequestUser,
  readCertificateRequest,
} from "#api";
import { jsonEqual } from "#machinery";
import type { Authorizer } from "../security.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./chain.ts";
import { refuse } from "./refuse.ts";

const group = "certificates.k8s.io";
const clientSigner = "kubernetes.io/kube-apiserver-client";
const masters = "system:masters";

type Handled = Pick<AdmissionRequest, "operation" | "resource" | "subresource">;

const isRequest = ({ resource, subresource, operation }: Handled, wanted: string, on: "CREATE" | "UPDATE") =>
  operation === on &&
  subresource === wanted &&
  resource.resource === "certificatesigningrequests" &&
  resource.group === group;

export function certificatePlugins(authorizer: Authorizer): readonly AdmissionPlugin[] {
  const may = async (user: RequestUser, verb: string, signer: string): Promise<boolean> => {
    const [domain = ""] = signer.split("/");
    for (const name of [signer, `${domain}/*`]) {
      const decision = await authorizer.authorize({
        user,
        verb,
        resourceRequest: true,
        path: "",
        apiGroup: group,
        apiVersion: "*",
        resource: "signers",
        subresource: "",
        namespace: "",
        name,
      });
      if (decision.allowed) return true;
    }
    return false;
  };
  return [
    {
      name: "CertificateApproval",
      handles: (request) => isRequest(request, "approval", "UPDATE"),
      async validate(request) {
        // The old one: the new one's signer is what the client says.
        const { signerName } = (request.old as CertificateSigningRequest).spec; // requests only
        if (!(await may(request.user, "approve", signerName)))
          throw refuse(request, `user not permitted to approve requests with signerName ${JSON.stringify(signerName)}`);
      },
    },
    {
      name: "CertificateSigning",
      handles: (request) => isRequest(request, "status", "UPDATE"),
      async validate(request) {
        const [old, next] = [request.old, request.object] as CertificateSigningRequest[]; // requests only
        const { signerName } = old?.spec ?? { signerName: "" };
        const parts = (csr: CertificateSigningRequest | undefined) => [
          csr?.status?.certificate ?? null,
          csr?.status?.conditions ?? [],
        ];
        if (jsonEqual(parts(old), parts(next)) || (await may(request.user, "sign", signerName))) return;
        throw refuse(request, `user not permitted to sign requests with signerName ${JSON.stringify(signerName)}`);
      },
    },
    {
      name: "CertificateSubjectRestriction",
      handles: (request) => isRequest(request, "", "CREATE"),
      validate(request) {
        const { spec } = request.object as CertificateSigningRequest; // requests only
        if (spec.signerName !== clientSigner || !subjectOf(request, spec.request).organizations.includes(masters))
          return;
        throw refuse(request, `use of ${clientSigner} signer with ${masters} group is not allowed`);
      },
    },
  ];
}

function subjectOf(request: AdmissionRequest, encoded: string): CertificateRequest {
  try {
    return readCertificateRequest(Buffer.from(encoded, "base64").toString("latin1"));
  } catch (error) {
    if (error instanceof CertificateRequestError) throw refuse(request, `failed to parse CSR: ${error.message}`);
    throw error;
  }
}
