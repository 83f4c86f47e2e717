/**
 * Servers that know the same names, asked one after another. One that fails twice in a row is left out and asked only now and then, beside a
 * question that others answer, so that nobody waits for it; when all are out, questions fail at once but for those trials.
 *
 * A loop (we are asked by those whom we ask) is found as CoreDNS' plugin `loop` does: by a question with a name that nobody else can know.
 * Each server gets one before its first question and after one of them was silent, which is what loops look like from inside.
 */
import { randomInt } from "node:crypto";
import type { Logger } from "#base";
import { codes, types } from "../wire.ts";
import { exchange, type ForwardQuestion, printServer, type Server } from "./exchange.ts";
import type { Response } from "./response.ts";

/** A server that is silent this long is given up for this question. */
export const waitMs = 2000;
/** Servers one question is taken to: clients give up after five seconds. */
const triesMax = 2;
const failuresMax = 2;
const trialMs = { first: 500, max: 10_000 };
const loopTrialMs = 30_000;

interface State {
  readonly server: Server;
  failures: number;
  loops: boolean;
  /** When it may be tried again, while it is out. */
  trialAtMs: number;
  /** When it was last looked whether it loops. */
  probedAtMs: number;
  needsProbe: boolean;
}

export interface GroupOptions {
  readonly servers: readonly Server[];
  readonly log: Logger;
  readonly waitMs?: number;
  /** Names of probes that are under way, of all groups. */
  readonly probes: Map<string, () => void>;
}

export class Unavailable extends Error {
  readonly code = "unavailable";
}

export class Group {
  readonly #states: readonly State[];
  readonly #options: GroupOptions;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#states = options.servers.map((server) => ({
      ...{ server, failures: 0, loops: false, trialAtMs: 0, probedAtMs: Number.NEGATIVE_INFINITY, needsProbe: true },
    }));
  }

  /** Rejects when nobody answered. */
  async ask(question: ForwardQuestion): Promise<Response> {
    const nowMs = performance.now();
    const order = this.#order(question, nowMs);
    if (order.length === 0)
      throw new Unavailable(this.#states.length === 0 ? "no resolver to forward to" : "all resolvers are out");
    let refusal: Response | undefined;
    let last: unknown;
    for (let tries = 0; tries < Math.min(triesMax, Math.max(2, order.length)); tries++) {
      // A single one gets a second packet: the first may have been lost.
      const state = order[tries % order.length]!; // not empty
      if (isOut(state) && tries > 0) break;
      try {
        if (state.needsProbe && state.probedAtMs + loopTrialMs <= performance.now()) this.#probe(state);
        const response = await exchange(state.server, question, this.#options.waitMs ?? waitMs);
        this.#succeeded(state);
        if (response.code !== codes.serverFailure && response.code !== codes.refused) return response;
        refusal = response;
        if (order.length === 1) break;
      } catch (error) {
        last = error;
        this.#failed(state, error);
      }
    }
    if (refusal) return refusal;
    throw last;
  }

  /** Those who may be asked, in their order; the others get a trial beside it when its time has come. */
  #order(question: ForwardQuestion, nowMs: number): State[] {
    const fit = this.#states.filter((state) => !isOut(state));
    const due = this.#states.filter((state) => isOut(state) && state.trialAtMs <= nowMs);
    for (const state of due) state.trialAtMs = nowMs + trialAfter(state);
    for (const state of due.filter(({ loops }) => loops)) this.#probe(state);
    const silent = due.filter(({ loops }) => !loops);
    if (fit.length === 0) return silent.slice(0, 1);
    for (const state of silent) {
      exchange(state.server, question, this.#options.waitMs ?? waitMs).then(
        () => this.#succeeded(state),
        (error: unknown) => this.#failed(state, error),
      );
    }
    return fit;
  }

  #succeeded(state: State): void {
    if (isSilent(state)) this.#options.log.info("dns: resolver answers again", { server: printServer(state.server) });
    state.failures = 0;
  }

  #failed(state: State, error: unknown): void {
    const { log } = this.#options;
    const server = printServer(state.server);
    state.failures++;
    state.needsProbe = true;
    if (state.failures === failuresMax) log.warn("dns: resolver fails, others are asked", { server, error });
    state.trialAtMs = performance.now() + trialAfter(state);
    log.debug("dns: resolver failed", { server, error });
  }

  /** Asks for a name that only we know. */
  #probe(state: State): void {
    const { probes, log } = this.#options;
    state.probedAtMs = performance.now();
    state.needsProbe = false;
    const name = `${randomInt(2 ** 40)}.${randomInt(2 ** 40)}`;
    let seen = false;
    probes.set(name, () => {
      seen = true;
      const isNew = !state.loops;
      state.loops = true;
      state.trialAtMs = performance.now() + loopTrialMs;
      if (!isNew) return;
      const server = printServer(state.server);
      log.error("dns: loop: this resolver asks us what we ask it, it isn't asked any more", { server });
    });
    exchange(state.server, { name, type: types.HINFO }, this.#options.waitMs ?? waitMs)
      .then(
        () => undefined,
        (error: unknown) => log.debug("dns: no answer to the probe", { server: printServer(state.server), error }),
      )
      .finally(() => {
        probes.delete(name);
        if (!seen) state.loops = false;
      });
  }
}

const isSilent = ({ failures }: State): boolean => failures >= failuresMax;
const isOut = (state: State): boolean => state.loops || isSilent(state);
const trialAfter = ({ failures, loops }: State): number =>
  loops ? loopTrialMs : Math.min(trialMs.first * 2 ** Math.max(0, failures - failuresMax), trialMs.max);
