/** Tokens for joining sign `kube-public/cluster-info`, and go when they have ended. Only for clusters that machines join: kubeadm's. */
import type { ConfigMap, Secret } from "#api";
import { keyOf } from "#client";
import { type Controller, type ControllerContext, defineController, onEvery, watch } from "../lib/controller.ts";
import { draft, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessOther } from "../lib/unless-gone.ts";
import { signedData, tokenEnd, tokenType } from "./reconcile.ts";

const infoName = "cluster-info";
const infoNamespace = "kube-public";

const tokensOf = ({ informers }: ControllerContext) =>
  informers.of("v1/secrets", { namespace: "kube-system", fieldSelector: `type=${tokenType}` });

export const bootstrapSignerController: Controller = defineController({
  name: "bootstrap-signer-controller",
  account: "bootstrap-signer",
  isOptional: true,
  create(context) {
    const { client, informers, clock } = context;
    const secrets = tokensOf(context);
    const infos = informers.of("v1/configmaps", {
      namespace: infoNamespace,
      fieldSelector: `metadata.name=${infoName}`,
    });
    return [
      {
        workers: 1,
        watches(queue) {
          const mark = () => queue.add(infoName);
          return [watch(infos, { added: mark, updated: mark }), onEvery(secrets, mark)];
        },
        async reconcile() {
          const info = infos.get(`${infoNamespace}/${infoName}`);
          const data = info && signedData(info.data, secrets.list(), clock.now());
          if (!data) return;
          await unlessOther(
            client.resource("v1/configmaps", infoNamespace).update({ ...draft<ConfigMap>(info), data }),
          );
        },
      },
    ];
  },
});

export const tokenCleanerController: Controller = defineController({
  name: "token-cleaner-controller",
  account: "token-cleaner",
  isOptional: true,
  create(context) {
    const { client, clock } = context;
    const secrets = tokensOf(context);
    return [
      {
        workers: 1,
        watches(queue) {
          const mark = (secret: Seen<Secret>) => queue.add(keyOf(secret));
          return [watch(secrets, { added: mark, updated: mark })];
        },
        async reconcile(key, queue) {
          const secret = secrets.get(key);
          const leftMs = secret ? tokenEnd(secret) - clock.now() : Infinity;
          if (!secret || leftMs === Infinity) return;
          if (leftMs > 0) return queue.addAfter(key, leftMs);
          const own = client.resource("v1/secrets", namespaceOf(secret));
          await unlessOther(own.delete(nameOf(secret), { preconditions: { uid: uidOf(secret) } }));
        },
      },
    ];
  },
});
