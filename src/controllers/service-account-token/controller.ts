/**
 * Tokens that live in a Secret: whoever creates a Secret of type `kubernetes.io/service-account-token` for an account finds its token, the
 * authority and the namespace in it; with the account it goes. Upstream's tokens controller; tokens are no longer made unasked.
 */
import type { Secret, ServiceAccount } from "#api";
import type { DeepReadonly } from "#machinery";
import { type Controller, type ControllerContext, defineController, type Loop, watch } from "../lib/controller.ts";
import { nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessGone, unlessOther } from "../lib/unless-gone.ts";

const tokenType = "kubernetes.io/service-account-token";
const accountName = "kubernetes.io/service-account.name";
const accountUid = "kubernetes.io/service-account.uid";

export const serviceAccountTokenController: Controller = defineController({
  name: "serviceaccount-token-controller",
  account: undefined,
  create(context) {
    const { legacyToken } = context.options;
    return legacyToken ? [fillLoop(context, legacyToken), referenceLoop(context)] : [];
  },
});

type LegacyToken = NonNullable<ControllerContext["options"]["legacyToken"]>;

const tokensOf = ({ informers }: ControllerContext) =>
  informers.of("v1/secrets", { fieldSelector: `type=${tokenType}` });
const accountOf = (secret: Seen<Secret>) => secret.metadata.annotations?.[accountName] ?? "";
/** A Secret may name an account without its uid. */
const isMeant = (account: Seen<ServiceAccount>, uid: string | undefined) => !uid || uid === account.metadata.uid;
const encode = (text: string) => Buffer.from(text).toString("base64");

/** By Secret: what is missing is written, and without its account it goes. */
function fillLoop(context: ControllerContext, legacyToken: LegacyToken): Loop {
  const { client, informers, options } = context;
  const secrets = tokensOf(context);
  const accounts = informers.of("v1/serviceaccounts");

  async function findAccount(secret: Seen<Secret>): Promise<DeepReadonly<ServiceAccount> | undefined> {
    const [namespace, name] = [namespaceOf(secret), accountOf(secret)];
    const uid = secret.metadata.annotations?.[accountUid];
    const known = accounts.get(`${namespace}/${name}`);
    if (known && isMeant(known, uid)) return known;
    // The cache may not know it yet, and a deleted Secret doesn't come back.
    const account = await unlessGone(client.resource("v1/serviceaccounts", namespace).get(name));
    return account && isMeant(account, uid) ? account : undefined;
  }

  return {
    watches: (queue) => {
      const mark = (secret: Seen<Secret>) => queue.add(`${namespaceOf(secret)}/${nameOf(secret)}`);
      return [
        watch(secrets, { added: mark, updated: mark }),
        watch(accounts, {
          deleted(account) {
            for (const secret of secrets.list(namespaceOf(account)))
              if (accountOf(secret) === nameOf(account)) mark(secret);
          },
        }),
      ];
    },
    async reconcile(key) {
      const secret = secrets.get(key);
      if (!secret || accountOf(secret) === "") return;
      const own = client.resource("v1/secrets", namespaceOf(secret));
      const account = await findAccount(secret);
      if (!account) {
        await unlessOther(own.delete(nameOf(secret), { preconditions: { uid: uidOf(secret) } }));
        return;
      }
      const { data = {} } = secret;
      const { rootCa } = options;
      const filled = {
        ...data,
        ...(rootCa !== undefined && { "ca.crt": encode(rootCa) }),
        namespace: data.namespace || encode(namespaceOf(secret)),
        token:
          data.token ||
          encode(
            legacyToken(
              { namespace: namespaceOf(secret), name: nameOf(secret) },
              { name: nameOf(account), uid: uidOf(account) },
            ),
          ),
      };
      if (filled["ca.crt"] === data["ca.crt"] && data.namespace && data.token) return;
      const annotations = {
        ...secret.metadata.annotations,
        [accountName]: nameOf(account),
        [accountUid]: uidOf(account),
      };
      const next = { ...(secret as Secret), metadata: { ...(secret as Secret).metadata, annotations }, data: filled }; // sent, never changed
      await unlessOther(own.update(next));
    },
  };
}

/** By account and Secret: an account doesn't name a token that is gone. */
function referenceLoop(context: ControllerContext): Loop {
  const { client, informers } = context;
  const secrets = tokensOf(context);
  const accounts = informers.of("v1/serviceaccounts");
  return {
    watches: (queue) => [
      watch(secrets, {
        deleted: (secret) => queue.add([namespaceOf(secret), nameOf(secret), accountOf(secret)].join("/")),
      }),
    ],
    reads: [accounts],
    async reconcile(key) {
      const [namespace = "", secretName = "", name = ""] = key.split("/");
      if (secrets.get(`${namespace}/${secretName}`)) return;
      const account = accounts.get(`${namespace}/${name}`);
      const left = account?.secrets?.filter((reference) => reference.name !== secretName);
      if (!account || left?.length === account.secrets?.length) return;
      const next = { ...(account as ServiceAccount), secrets: left as ServiceAccount["secrets"] & object }; // sent, never changed
      await unlessGone(client.resource("v1/serviceaccounts", namespace).update(next));
    },
  };
}
