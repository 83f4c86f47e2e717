/** Asks the API server about callers of a part's own HTTPS server. */
import { createHash } from "node:crypto";
import type { RequestUser, SubjectAccessReview, TokenReview } from "#api";
import type { ComponentAuth } from "#apiserver";
import type { Clock } from "#base";
import type { Client } from "#client";

/** As upstream's delegated options: how long an answer counts. */
const answerMs = 10_000;
/** Callers are few; more answers than this are somebody trying. */
const answersMax = 1_000;

export function createComponentAuth(client: Client, clock: Clock): ComponentAuth {
  const users = remembered<RequestUser | undefined>(clock);
  const decisions = remembered<boolean>(clock);
  return {
    userOf: (token) =>
      users(createHash("sha256").update(token).digest("base64"), async () => {
        const review: TokenReview = {
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenReview",
          metadata: {},
          spec: { token },
        };
        const { status } = await client.resource("authentication.k8s.io/v1/tokenreviews").create(review);
        const { username = "", uid = "", groups = [] } = status?.user ?? {};
        return status?.authenticated ? { name: username, uid, groups: [...groups], extra: {} } : undefined;
      }),
    allows: ({ name, uid, groups }, verb, path) =>
      decisions(JSON.stringify([name, uid, groups, verb, path]), async () => {
        const review: SubjectAccessReview = {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          metadata: {},
          spec: { user: name, uid, groups: [...groups], nonResourceAttributes: { verb, path } },
        };
        const { status } = await client.resource("authorization.k8s.io/v1/subjectaccessreviews").create(review);
        return status?.allowed === true;
      }),
  };
}

function remembered<T>(clock: Clock): (key: string, ask: () => Promise<T>) => Promise<T> {
  const known = new Map<string, { answer: Promise<T>; until: number }>();
  return (key, ask) => {
    const now = clock.now();
    const found = known.get(key);
    if (found && found.until > now) return found.answer;
    if (known.size >= answersMax) known.clear();
    const answer = ask();
    known.set(key, { answer, until: now + answerMs });
    // A failure is nobody's answer.
    answer.catch(() => known.delete(key));
    return answer;
  };
}
