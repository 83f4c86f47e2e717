/** The class of volumes that work without any set-up: folders of the node. Its default, unless the cluster has one. */
import { localPathProvisionerName, type StorageClass } from "#api";
import type { Client } from "#client";

const mark = "storageclass.kubernetes.io/is-default-class";

const localPathClass: StorageClass = {
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: { name: "local-path", annotations: { [mark]: "true" } },
  provisioner: localPathProvisionerName,
  reclaimPolicy: "Delete",
  volumeBindingMode: "WaitForFirstConsumer",
};

/** Whoever took the mark off, or deleted the class and has another default, is left in peace. */
export async function provideLocalPathClass(client: Client): Promise<void> {
  const classes = client.resource("storage.k8s.io/v1/storageclasses");
  const { items } = await classes.list();
  const isThere = ({ metadata }: (typeof items)[number]) =>
    metadata.name === localPathClass.metadata.name || metadata.annotations?.[mark] === "true";
  if (!items.some(isThere)) await classes.create(localPathClass);
}
