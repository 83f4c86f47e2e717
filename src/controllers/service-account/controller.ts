/** Every namespace has a service account `default`, which pods get that name no other. */
import { splitKey, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { nameOf, namespaceOf } from "../lib/objects.ts";
import { isNamespaceTerminating } from "../lib/pod-control.ts";

const accountName = "default";

export const serviceAccountController: Controller = defineController({
  name: "serviceaccount-controller",
  account: "service-account-controller",
  create({ client, informers }) {
    const namespaces = informers.of("v1/namespaces");
    const accounts = informers.of("v1/serviceaccounts");
    return [
      {
        watches: (queue: WorkQueue) => [
          watch(namespaces, {
            added: (namespace) => queue.add(nameOf(namespace)),
            updated: (namespace) => queue.add(nameOf(namespace)),
          }),
          watch(accounts, {
            deleted(account) {
              if (nameOf(account) === accountName) queue.add(namespaceOf(account));
            },
          }),
        ],
        async reconcile(key) {
          const { name: namespace } = splitKey(key);
          if (namespaces.get(namespace)?.status?.phase !== "Active") return;
          if (accounts.get(`${namespace}/${accountName}`)) return;
          try {
            await client.resource("v1/serviceaccounts", namespace).create({
              apiVersion: "v1",
              kind: "ServiceAccount",
              metadata: { name: accountName, namespace },
            });
          } catch (error) {
            if (!isStatusError(error, "AlreadyExists") && !isNamespaceTerminating(error)) throw error;
          }
        },
      },
    ];
  },
});
