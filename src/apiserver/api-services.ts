/**
 * An APIService for each built-in version, as upstream's aggregator registers them when it starts: `kubectl get apiservices`
 * and installers that look whether a version is there read them. The aggregator's own group has none there either.
 */
import type { APIService } from "#api";
import type { GroupVersion } from "./resource.ts";

const aggregatorGroup = "apiregistration.k8s.io";

export function localApiServices(versions: readonly GroupVersion[]): APIService[] {
  return versions
    .filter(({ group }) => group !== aggregatorGroup)
    .map(({ group, version, groupPriority: groupPriorityMinimum, versionPriority }) => ({
      metadata: { name: `${version}.${group}`, labels: { "kube-aggregator.kubernetes.io/automanaged": "onstart" } },
      spec: { ...(group && { group }), version, groupPriorityMinimum, versionPriority },
    }));
}
