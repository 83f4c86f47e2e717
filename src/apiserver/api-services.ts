/**
 * An APIService for each version served here, as upstream's aggregator registers them: `kubectl get apiservices` and installers that look
 * whether a version is there read them. The aggregator's own group has none there either.
 */
import type { APIService } from "#api";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import { automanagedLabel } from "./aggregation/api-service-index.ts";
import type { GroupVersion } from "./resource.ts";
import type { Reconciled } from "./security/reconcile-bootstrap.ts";

const aggregatorGroup = "apiregistration.k8s.io";

/** Of built-in versions. */
export const localApiServices = (versions: readonly GroupVersion[]): APIService[] =>
  versions.filter(({ group, custom }) => group !== aggregatorGroup && !custom).map(localApiService);

/** Custom ones are kept as long as they are served, built-in ones only made. */
export function localApiService(served: GroupVersion): APIService {
  const { group, version, groupPriority, versionPriority, custom, replaceable } = served;
  const labels = { [automanagedLabel]: custom ? "true" : "onstart" };
  return {
    metadata: { name: `${version}.${group}`, ...(!replaceable && { labels }) },
    spec: { ...(group && { group }), version, groupPriorityMinimum: groupPriority, versionPriority },
  };
}

/** One that an earlier start made is brought up to date once; one without the label is somebody's own. */
export function reconcileApiService(
  wanted: APIService,
): (found: DeepReadonly<KubernetesObject>) => Reconciled<KubernetesObject> {
  return (found) => {
    const { metadata, spec } = found as DeepReadonly<APIService>; // the kind's type
    if (metadata.labels?.[automanagedLabel] === undefined) return { type: "keep" };
    const same =
      !spec?.service &&
      spec?.groupPriorityMinimum === wanted.spec?.groupPriorityMinimum &&
      spec?.versionPriority === wanted.spec?.versionPriority;
    if (same) return { type: "keep" };
    return { type: "update", object: { ...found, spec: wanted.spec } as KubernetesObject }; // of that kind
  };
}
