/** Projections of trust bundles and of certificates that the kubelet asks for on the pod's behalf. */
import { isDomainPrefixedKey } from "#machinery";
import type { Place } from "../place.ts";
import { validateLabelSelector } from "../selectors.ts";
import { isKubernetesSigner, isTrustBundleName, signerOfTrustBundle, validateSignerName } from "../signers.ts";
import type { ClusterTrustBundleProjection, PodCertificateProjection } from "../types.d.ts";
import { validateUnreservedPath } from "./paths.ts";

export function validateClusterTrustBundle(source: ClusterTrustBundleProjection, at: Place): void {
  const { name, signerName, labelSelector, path } = source;
  if (name !== undefined && signerName !== undefined) {
    at.invalid(source, "only one of name and signerName may be used");
  } else if (name !== undefined) {
    const place = at.child("name");
    if (name === "") place.required("must be a valid object name");
    for (const message of isTrustBundleName(name, { signer: signerOfTrustBundle(name) })) {
      place.invalid(name, `not a valid clustertrustbundlename: ${message}`);
    }
    if (labelSelector)
      at.child("labelSelector").invalid(labelSelector, "labelSelector must be unset if name is specified");
  } else if (signerName !== undefined) {
    if (signerName === "") at.child("signerName").required("must be a valid signer name");
    validateSignerName(signerName, at.child("signerName"));
    validateLabelSelector(labelSelector, at.child("labelSelector"));
  } else {
    at.required("either name or signerName must be specified");
  }
  if (!path) at.child("path").required();
  validateUnreservedPath(path ?? "", at.child("path"));
}

const keyTypes = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
const expirationSecondsMin = 3600;
const expirationSecondsMax = 91 * 24 * 3600;
const kubernetesExpirationSecondsMax = 24 * 3600;

/** `takePath` remembers each file's path and refuses one that is taken. */
export function validatePodCertificate(
  source: PodCertificateProjection,
  at: Place,
  takePath: (path: string) => void,
): void {
  validateSignerName(source.signerName, at.child("signerName"));
  for (const key in source.userAnnotations) {
    at.child("userAnnotations").invalidEach(key, isDomainPrefixedKey(key));
  }
  if (!keyTypes.includes(source.keyType)) at.child("keyType").notSupported(source.keyType ?? "", keyTypes);
  validateExpiration(source, at.child("maxExpirationSeconds"));
  let count = 0;
  for (const field of ["credentialBundlePath", "keyPath", "certificateChainPath"] as const) {
    const path = source[field];
    if (!path) continue;
    count++;
    validateUnreservedPath(path, at.child(field));
    takePath(path);
  }
  if (count === 0) at.required("specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
}

function validateExpiration({ maxExpirationSeconds: seconds, signerName }: PodCertificateProjection, at: Place): void {
  if (seconds === undefined) return;
  if (seconds < expirationSecondsMin)
    at.invalid(seconds, `if provided, maxExpirationSeconds must be >= ${expirationSecondsMin}`);
  const max = isKubernetesSigner(signerName ?? "") ? kubernetesExpirationSecondsMax : expirationSecondsMax;
  if (seconds > max) at.invalid(seconds, `if provided, maxExpirationSeconds must be <= ${max}`);
}
