/** How many seats a priority level could have used over a period: mean, deviation and peak, weighted by time. Upstream's integrator. */
export interface DemandPeriod {
  readonly seconds: number;
  readonly average: number;
  readonly deviation: number;
  readonly peak: number;
}

export class DemandIntegrator {
  #seconds = 0;
  #sum = 0;
  #squares = 0;
  #peak = 0;

  /** The demand was this high for so long. */
  add(demand: number, seconds: number): void {
    this.#seconds += seconds;
    this.#sum += demand * seconds;
    this.#squares += demand * demand * seconds;
  }

  /** The demand is now this high. */
  note(demand: number): void {
    if (demand > this.#peak) this.#peak = demand;
  }

  /** The period ends and the next one begins, at this demand. */
  reset(demand: number): DemandPeriod {
    const seconds = this.#seconds;
    const average = seconds > 0 ? this.#sum / seconds : 0;
    const variance = seconds > 0 ? this.#squares / seconds - average * average : 0;
    const period = { seconds, average, deviation: Math.sqrt(Math.max(0, variance)), peak: this.#peak };
    this.#seconds = 0;
    this.#sum = 0;
    this.#squares = 0;
    this.#peak = demand;
    return period;
  }
}

/** Of a period of 10 s; halves in five minutes. */
const smoothing = 0.977;

export interface DemandStats {
  readonly peak: number;
  readonly average: number;
  readonly deviation: number;
  /** Rises at once, falls slowly. */
  readonly smoothed: number;
}

export const noDemand: DemandStats = { peak: 0, average: 0, deviation: 0, smoothed: 0 };

export function updateStats(stats: DemandStats, { seconds, average, deviation, peak }: DemandPeriod): DemandStats {
  const rounded = Math.round(peak);
  if (seconds <= 0) return { ...stats, peak: rounded };
  const envelope = average + deviation;
  const smoothed = Math.max(envelope, smoothing * stats.smoothed + (1 - smoothing) * envelope);
  return { peak: rounded, average, deviation, smoothed };
}
