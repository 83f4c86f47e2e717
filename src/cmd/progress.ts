/** What `up` says while it works: a line with a time stamp for each step, and a line that counts while it waits. */
export interface Progress {
  step(text: string): void;
  /** Shows how long `work` has been going on, on terminals only. */
  waitFor<T>(text: string, work: Promise<T>): Promise<T>;
  seconds(): string;
}

const redrawMs = 100;

export function createProgress({
  out,
  isTerminal,
  startedAt,
}: {
  out: (text: string) => void;
  isTerminal: boolean;
  startedAt: number;
}): Progress {
  const seconds = () => ((Date.now() - startedAt) / 1000).toFixed(2);
  const stamp = () => `[${seconds().padStart(6)} s]`;
  return {
    seconds,
    step: (text) => out(`${stamp()} ${text}\n`),
    async waitFor(text, work) {
      if (!isTerminal) return work;
      const draw = setInterval(() => out(`\r${stamp()} ${text} …`), redrawMs);
      try {
        return await work;
      } finally {
        clearInterval(draw);
        out("\r\u001b[K");
      }
    },
  };
}
