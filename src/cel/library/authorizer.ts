export class PendingChecks extends Error {
  readonly answered: Promise<unknown>;
  constructor(p: Promise<unknown>) {
    super("pending");
    this.answered = p;
  }
}
