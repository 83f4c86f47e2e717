/** Publishes the authority that signs the API server's certificate to every namespace, so that pods can verify it. */
import type { ConfigMap } from "#api";
import type { WorkQueue } from "#client";
import { isStatusError, jsonEqual } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { nameOf, namespaceOf, type SeenObject } from "../lib/objects.ts";
import { isNamespaceTerminating } from "../lib/pod-control.ts";

const configMapName = "kube-root-ca.crt";
const descriptionAnnotation = "kubernetes.io/description";
const description =
  "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

export const rootCaController: Controller = defineController({
  name: "root-ca-certificate-publisher-controller",
  account: "root-ca-cert-publisher",
  create({ client, informers, options }) {
    const { rootCa } = options;
    if (rootCa === undefined) return [];
    const namespaces = informers.of("v1/namespaces");
    // Other config maps are none of our business, and may be large.
    const configMaps = informers.of("v1/configmaps", { fieldSelector: `metadata.name=${configMapName}` });
    const data = { "ca.crt": rootCa };

    async function reconcile(namespace: string): Promise<void> {
      if (namespaces.get(namespace)?.status?.phase !== "Active") return;
      const current = configMaps.get(`${namespace}/${configMapName}`);
      const own = client.resource("v1/configmaps", namespace);
      const { annotations } = current?.metadata ?? {};
      if (current) {
        if (jsonEqual(current.data, data) && annotations?.[descriptionAnnotation]) return;
        await own.update({
          ...(current as ConfigMap), // sent, never changed
          metadata: {
            ...(current as ConfigMap).metadata,
            annotations: { ...annotations, [descriptionAnnotation]: description },
          },
          data,
        });
        return;
      }
      try {
        await own.create({
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: configMapName, namespace, annotations: { [descriptionAnnotation]: description } },
          data,
        });
      } catch (error) {
        if (!isStatusError(error, "NotFound") && !isNamespaceTerminating(error)) throw error;
      }
    }

    return [
      {
        watches(queue: WorkQueue) {
          const mark = (object: SeenObject) => queue.add(namespaceOf(object));
          return [
            watch(namespaces, {
              added: (namespace) => queue.add(nameOf(namespace)),
              updated: (namespace) => queue.add(nameOf(namespace)),
            }),
            watch(configMaps, { updated: mark, deleted: mark }),
          ];
        },
        reconcile,
      },
    ];
  },
});
