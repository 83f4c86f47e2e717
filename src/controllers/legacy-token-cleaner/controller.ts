/** Upstream's LegacySATokenCleaner: once a day, because what it knows of a token's use is a date. */
import { type Secret, podReferences } from "#api";
import { type Controller, defineController } from "../lib/controller.ts";
import { nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessGone, unlessOther } from "../lib/unless-gone.ts";
import { dateOf, invalidSinceLabel, isDate, tokenFate } from "./reconcile.ts";

const dayMs = 24 * 3600 * 1000;
const unusedMsDefault = 365 * dayMs;
const tracking = "kube-apiserver-legacy-service-account-token-tracking";

export const legacyTokenCleaner: Controller = defineController({
  name: "legacy-serviceaccount-token-cleaner-controller",
  account: "legacy-service-account-token-cleaner",
  create({ client, informers, clock, log, options }) {
    const unusedMs = options.legacyTokenUnusedMs ?? unusedMsDefault;
    const secrets = informers.of("v1/secrets", { fieldSelector: "type=kubernetes.io/service-account-token" });
    const accounts = informers.of("v1/serviceaccounts");
    const pods = informers.of("v1/pods");

    /** Since when uses are noted for sure: the day after the first. */
    async function trackedSince(): Promise<number> {
      const noted = await unlessGone(client.resource("v1/configmaps", "kube-system").get(tracking));
      const { since = "" } = noted?.data ?? {};
      return isDate(since) ? Date.parse(since) + dayMs : Infinity;
    }

    /** Those that the account itself names were made unasked; others are somebody's wish. */
    function isUnasked(secret: Seen<Secret>): boolean {
      const { annotations = {} } = secret.metadata;
      const account = accounts.get(`${namespaceOf(secret)}/${annotations["kubernetes.io/service-account.name"]}`);
      const uid = annotations["kubernetes.io/service-account.uid"];
      const isMeant = account && (!uid || uid === uidOf(account));
      return Boolean(isMeant && account.secrets?.some(({ name }) => name === nameOf(secret)));
    }

    async function clean(): Promise<void> {
      const now = clock.now();
      if (now < (await trackedSince()) + unusedMs) return;
      const mounted = new Map<string, Set<string>>();
      const isMounted = (secret: Seen<Secret>) => {
        const namespace = namespaceOf(secret);
        const found =
          mounted.get(namespace) ?? new Set(pods.list(namespace).flatMap((pod) => [...podReferences(pod).secrets]));
        mounted.set(namespace, found);
        return found.has(nameOf(secret));
      };
      for (const secret of secrets.list()) {
        const fate = tokenFate(secret, { now, unusedMs, inUse: () => !isUnasked(secret) || isMounted(secret) });
        if (fate) await end(secret, fate, dateOf(now));
      }
    }

    async function end(secret: Seen<Secret>, fate: "invalidate" | "delete", today: string): Promise<void> {
      const own = client.resource("v1/secrets", namespaceOf(secret));
      const name = nameOf(secret);
      const about = { namespace: namespaceOf(secret), secret: name };
      if (fate === "delete") {
        log.info("an unused token that was made unasked is deleted", about);
        await unlessOther(
          own.delete(name, { preconditions: { resourceVersion: secret.metadata.resourceVersion ?? "" } }),
        );
      } else {
        log.info("an unused token that was made unasked is marked as invalid", about);
        const metadata = { name, uid: uidOf(secret), labels: { [invalidSinceLabel]: today } };
        await unlessOther(own.patch(name, { metadata }, { type: "merge" }));
      }
    }

    return [
      {
        workers: 1,
        watches: () => [],
        reads: [secrets, accounts, pods],
        begin: (queue) => queue.add("all"),
        async reconcile(key, queue) {
          await clean();
          queue.addAfter(key, dayMs);
        },
      },
    ];
  },
});
