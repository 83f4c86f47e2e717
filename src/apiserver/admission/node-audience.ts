/**
 * For which audience a kubelet may ask for a token of a pod that it runs: those that the pod's volumes name, directly or by the CSI driver
 * behind them, and those it was given the verb for. Upstream's ServiceAccountNodeAudienceRestriction.
 */
import type { CSIDriver, PersistentVolume, PersistentVolumeClaim, Pod, RequestUser, TokenRequest } from "#api";
import { type DeepReadonly, goQuote, type KubernetesObject } from "#machinery";
import type { Authorizer } from "../security.ts";
import { aggregate } from "../security/rbac.ts";
import type { Lookup } from "./chain.ts";

export interface AudienceQuestion {
  readonly user: RequestUser;
  readonly pod: DeepReadonly<Pod>;
  readonly account: string;
  readonly request: TokenRequest;
}

/** Why not; undefined: nothing to say against it. */
export async function audienceProblem(
  { user, pod, account, request }: AudienceQuestion,
  { lookup, authorizer }: { lookup: Lookup; authorizer: Authorizer },
): Promise<string | undefined> {
  const audiences = request.spec?.audiences ?? [];
  if (audiences.length > 1) return "node may only request 0 or 1 audiences";
  const audience = audiences[0] ?? "";
  const quoted = goQuote(audience);
  const errors: string[] = [];
  for (const volume of pod.spec?.volumes ?? [])
    if (await volumeNames(volume, { pod, audience, lookup, errors })) return undefined;
  if (errors.length > 0) return `error validating audience ${quoted}: ${aggregate(errors)}`;
  const decision = await authorizer.authorize({
    user,
    verb: "request-serviceaccounts-token-audience",
    resourceRequest: true,
    path: "",
    apiGroup: "",
    apiVersion: "v1",
    resource: audience,
    subresource: "",
    namespace: pod.metadata.namespace ?? "",
    name: account,
  });
  if (decision.allowed) return undefined;
  const found = `audience ${quoted} not found in pod spec volume`;
  return decision.error === undefined
    ? `${found}, ${user.name} is not authorized to request tokens for this audience`
    : `${found}, error authorizing ${user.name} to request tokens for this audience: ${decision.error}`;
}

type Volume = NonNullable<NonNullable<DeepReadonly<Pod>["spec"]>["volumes"]>[number];

interface Search {
  readonly pod: DeepReadonly<Pod>;
  readonly audience: string;
  readonly lookup: Lookup;
  /** What couldn't be looked at. */
  readonly errors: string[];
}

async function volumeNames(volume: Volume, { pod, audience, lookup, errors }: Search): Promise<boolean> {
  for (const { serviceAccountToken } of volume.projected?.sources ?? [])
    if (serviceAccountToken && (serviceAccountToken.audience ?? "") === audience) return true;
  const get = async <T extends KubernetesObject>(group: string, resource: string, namespace: string, name: string) => {
    const found = await lookup.get<T>(lookup.kind(group, resource), namespace, name);
    if (!found) errors.push(`${resource.replace(/s$/, "")} ${goQuote(name)} not found`);
    return found;
  };
  let driverName = volume.csi?.driver ?? "";
  const claimName = volume.ephemeral?.volumeClaimTemplate
    ? `${pod.metadata.name}-${volume.name}`
    : volume.persistentVolumeClaim?.claimName;
  if (claimName !== undefined) {
    const namespace = pod.metadata.namespace ?? "";
    const claim = await get<PersistentVolumeClaim>("", "persistentvolumeclaims", namespace, claimName);
    const bound = claim && (await get<PersistentVolume>("", "persistentvolumes", "", claim.spec?.volumeName ?? ""));
    driverName = bound?.spec?.csi?.driver ?? "";
  }
  if (driverName === "") return false;
  const driver = await get<CSIDriver>("storage.k8s.io", "csidrivers", "", driverName);
  return driver?.spec.tokenRequests?.some((each) => each.audience === audience) ?? false;
}
