/**
 * The old way to roll back: an annotation (once `spec.rollbackTo`) asks the controller to copy an older set's template. Today's
 * `kubectl rollout undo` patches the template itself; objects with the annotation still exist.
 */
import type { Deployment, PodTemplateSpec } from "#api";
import { goQuote } from "#machinery";
import { draft, type Seen } from "../lib/objects.ts";
import { isInherited, rollbackAnnotation } from "./revisions.ts";
import { allSets, byNumber, hashLabel, hasTemplateOf, readRevision, revisionOf, type Rollout } from "./rollout.ts";

export interface Rollback {
  readonly deployment: Deployment;
  readonly event?: { readonly type: "Normal" | "Warning"; readonly reason: string; readonly message: string };
}

export function rollbackRevision(deployment: Seen<Deployment>): bigint | undefined {
  const text = deployment.metadata.annotations?.[rollbackAnnotation];
  return text === undefined ? undefined : readRevision(text);
}

/** `revision` 0: the one before the newest. The annotation goes in any case. */
export function planRollback(rollout: Rollout, revision: bigint): Rollback {
  const deployment = draft<Deployment>(rollout.deployment);
  const name = goQuote(deployment.metadata.name ?? "");
  delete deployment.metadata.annotations?.[rollbackAnnotation];
  const warn = (reason: string, message: string): Rollback => ({
    deployment,
    event: { type: "Warning", reason, message },
  });

  const sets = allSets(rollout);
  const [, second = 0n] = sets.map((set) => revisionOf(set.annotations)).sort((a, b) => byNumber(b, a));
  const target = revision === 0n ? second : revision;
  if (target === 0n) return warn("DeploymentRollbackRevisionNotFound", "Unable to find last revision.");
  const source = sets.find((set) => revisionOf(set.annotations) === target)?.before;
  if (!source?.spec?.template || !deployment.spec) {
    return warn("DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to.");
  }
  if (hasTemplateOf(source, rollout.deployment)) {
    const message = `The rollback revision contains the same template as current deployment ${name}`;
    return warn("DeploymentRollbackTemplateUnchanged", message);
  }
  deployment.spec.template = draft<PodTemplateSpec>(source.spec.template);
  delete deployment.spec.template.metadata?.labels?.[hashLabel];
  // Why that revision was made (its change cause) comes back with it.
  const kept = Object.entries(deployment.metadata.annotations ?? {}).filter(([key]) => !isInherited(key));
  const restored = Object.entries(source.metadata.annotations ?? {}).filter(([key]) => isInherited(key));
  deployment.metadata.annotations = Object.fromEntries([...kept, ...restored]);
  const message = `Rolled back deployment ${name} to revision ${target}`;
  return { deployment, event: { type: "Normal", reason: "DeploymentRollback", message } };
}
