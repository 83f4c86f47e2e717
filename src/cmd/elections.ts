/** Coordinated leader election beside an API server: of several servers one elects, as upstream. */
import type { Clock, Logger } from "#base";
import { type Client, createInformers } from "#client";
import { createControllers, leaseCandidatesController } from "#controllers";
import { createElected, leaderDefaults } from "./leader-flags.ts";

const name = "leader-election-controller";

export function runElections(
  client: Client,
  { clock, log, signal }: { readonly clock: Clock; readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const ownLog = log.with({ part: name });
  return createElected({
    ...{ values: leaderDefaults, name, component: name, client, clock, log: ownLog },
    async lead(leading) {
      const informers = createInformers(client, { clock, log });
      const controllers = [leaseCandidatesController];
      const elections = createControllers({ informers, clientFor: () => client, controllers, clock, log: ownLog });
      await Promise.all([elections.run(leading), informers.run(leading)]);
    },
  }).runAgain(signal);
}
