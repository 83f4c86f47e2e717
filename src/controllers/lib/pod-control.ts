/** Making and deleting pods for an owner, with the events upstream writes about it. */
import type { Pod, PodTemplateSpec } from "#api";
import type { Client, EventRecorder } from "#client";
import { type DeepReadonly, isStatusError, StatusError } from "#machinery";
import { controllerReference, type KindName, nameOf, namespaceOf, type Seen, type SeenObject } from "./objects.ts";

const podNameCharactersMax = 253;

/** A pod as the owner's template describes it. */
export function podFromTemplate(template: Seen<PodTemplateSpec>, owner: SeenObject, ownerKind: KindName): Pod {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  const dashed = `${nameOf(owner)}-`;
  const pod: DeepReadonly<Pod> = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: dashed.length > podNameCharactersMax ? nameOf(owner) : dashed,
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ...(finalizers?.length ? { finalizers } : {}),
      ownerReferences: [controllerReference(owner, ownerKind)],
    },
    spec: template.spec,
  };
  return pod as Pod; // shares the template's parts: sent, never changed
}

/** The namespace goes away: whatever is created is refused, and that is fine. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    error instanceof StatusError &&
    (error.status.details?.causes ?? []).some(({ reason }) => reason === "NamespaceTerminating")
  );
}

export interface PodControl {
  /** Rejects with the server's refusal after reporting it. */
  create(pod: Pod, owner: SeenObject): Promise<DeepReadonly<Pod>>;
  /** Rejects; NotFound goes through unreported. */
  delete(name: string, owner: SeenObject): Promise<void>;
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function createPodControl(client: Client, events: EventRecorder): PodControl {
  return {
    async create(pod, owner) {
      try {
        const created = await client.resource("v1/pods", namespaceOf(owner)).create(pod);
        events.event(owner, {
          type: "Normal",
          reason: "SuccessfulCreate",
          message: `Created pod: ${nameOf(created)}`,
        });
        return created;
      } catch (error) {
        if (!isNamespaceTerminating(error)) {
          events.event(owner, {
            type: "Warning",
            reason: "FailedCreate",
            message: `Error creating: ${messageOf(error)}`,
          });
        }
        throw error;
      }
    },
    async delete(name, owner) {
      try {
        await client.resource("v1/pods", namespaceOf(owner)).delete(name);
      } catch (error) {
        if (isStatusError(error, "NotFound")) throw error;
        events.event(owner, {
          type: "Warning",
          reason: "FailedDelete",
          message: `Error deleting: ${messageOf(error)}`,
        });
        throw new Error(`unable to delete pods: ${messageOf(error)}`, { cause: error });
      }
      events.event(owner, { type: "Normal", reason: "SuccessfulDelete", message: `Deleted pod: ${name}` });
    },
  };
}
