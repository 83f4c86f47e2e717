/** Who a token is of: each authenticator is asked in turn until one knows it; why the others refused is what TokenReview shows. */
import type { RequestUser } from "#api";
import { everyone } from "../groups.ts";

export type TokenResult =
  /** `audiences`: the wanted ones that the token is for. */
  | { readonly user: RequestUser; readonly audiences: readonly string[]; readonly warnings?: readonly string[] }
  /** Why it is no good; "" when it isn't one of ours at all. */
  | { readonly why: string };

/** `audiences`: for whom the token must be; at least one. */
export type TokenSource = (token: string, audiences: readonly string[]) => TokenResult | Promise<TokenResult>;

export interface TokenAuthenticator {
  /** Without audiences: those of this server. `why` then holds every reason. */
  authenticate(token: string, audiences?: readonly string[]): ChainResult | Promise<ChainResult>;
}

export type ChainResult =
  | { readonly user: RequestUser; readonly audiences: readonly string[]; readonly warnings?: readonly string[] }
  | { readonly reasons: readonly string[] };

export function createTokenChain(
  sources: readonly TokenSource[],
  serverAudiences: readonly string[],
): TokenAuthenticator {
  return {
    authenticate(token, audiences = serverAudiences) {
      const reasons: string[] = [];
      const finish = (found: TokenResult): ChainResult | undefined => {
        if ("user" in found) return { ...found, user: withAuthenticated(found.user) };
        if (found.why) reasons.push(found.why);
        return undefined;
      };
      // Local ones answer at once: no promise until somebody has to be asked over the network.
      for (const [at, source] of sources.entries()) {
        const found = source(token, audiences);
        if (found instanceof Promise) return later(found, sources.slice(at + 1));
        const done = finish(found);
        if (done) return done;
      }
      return { reasons };

      async function later(first: Promise<TokenResult>, rest: readonly TokenSource[]): Promise<ChainResult> {
        const found = finish(await first);
        if (found) return found;
        for (const source of rest) {
          const done = finish(await source(token, audiences));
          if (done) return done;
        }
        return { reasons };
      }
    },
  };
}

/** Of authenticators that know no audiences: their users are meant for this server. */
export function forServer(
  find: (token: string) => RequestUser | undefined,
  serverAudiences: readonly string[],
): TokenSource {
  return (token, audiences) => {
    const user = find(token);
    const shared = user ? serverAudiences.filter((audience) => audiences.includes(audience)) : [];
    return user && shared.length > 0 ? { user, audiences: shared } : { why: "" };
  };
}

export function withAuthenticated(user: RequestUser): RequestUser {
  const { groups, name } = user;
  if (groups.includes(everyone.authenticated) || groups.includes(everyone.unauthenticated)) return user;
  return name === everyone.anonymous ? user : { ...user, groups: [...groups, everyone.authenticated] };
}
