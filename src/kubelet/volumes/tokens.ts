/** Service account tokens bound to pods: asked for when a volume needs one, again when four fifths of their time (or a day) is over. */
import type { TokenRequest } from "#api";
import type { Clock } from "#base";
import type { Client } from "#client";
import { timeMs } from "#machinery";
import type { PodView } from "../core/types.ts";

export interface TokenSource {
  /** A token that is good for a while. */
  token(pod: PodView, request: { audience: string; expirationSeconds: number }): Promise<string>;
  /** With its end, as the server said it. */
  status(
    pod: PodView,
    request: { audience: string; expirationSeconds: number },
  ): Promise<{ token: string; expirationTimestamp: string }>;
  /** When the first of this pod's tokens should be replaced; undefined: it has none. */
  refreshAt(podUid: string): number | undefined;
  forget(podUid: string): void;
}

const dayMs = 24 * 60 * 60 * 1000;
const freshShare = 0.8;

interface Held {
  readonly token: string;
  readonly expirationTimestamp: string;
  readonly refreshAt: number;
}

export function createTokenSource(client: Client, clock: Clock): TokenSource {
  const held = new Map<string, Map<string, Held>>();
  const source: TokenSource = {
    token: async (pod, request) => (await source.status(pod, request)).token,
    async status(pod, { audience, expirationSeconds }) {
      const { name = "", namespace = "", uid = "" } = pod.metadata;
      const key = `${audience}/${expirationSeconds}`;
      const known = held.get(uid)?.get(key);
      if (known && clock.now() < known.refreshAt)
        return { token: known.token, expirationTimestamp: known.expirationTimestamp };
      const account = pod.spec?.serviceAccountName || "default";
      const body: TokenRequest = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        metadata: {},
        spec: {
          audiences: audience ? [audience] : [],
          expirationSeconds,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
        },
      };
      const answer = await client
        .resource("v1/serviceaccounts", namespace)
        .createSubresource<TokenRequest, TokenRequest>(account, "token", body);
      const { token = "", expirationTimestamp = "" } = answer.status ?? {};
      if (!token)
        throw new Error(`the API server answered without a token for service account ${namespace}/${account}`);
      const lifeMs = timeMs(expirationTimestamp) - clock.now();
      // Some jitter, so that the pods of a node don't all ask at once.
      const refreshAt = clock.now() + Math.min(lifeMs * freshShare, dayMs) - Math.random() * 10_000;
      const ofPod = held.get(uid) ?? new Map<string, Held>();
      ofPod.set(key, { token, expirationTimestamp, refreshAt });
      held.set(uid, ofPod);
      return { token, expirationTimestamp };
    },
    refreshAt(podUid) {
      const times = [...(held.get(podUid)?.values() ?? [])].map(({ refreshAt }) => refreshAt);
      return times.length > 0 ? Math.min(...times) : undefined;
    },
    forget: (podUid) => void held.delete(podUid),
  };
  return source;
}
