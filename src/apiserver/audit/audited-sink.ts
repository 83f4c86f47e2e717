/**
 * Sees an answer go out and tells the audit log: its code when it begins, its end before the client can see it. When the log has to be
 * waited for (a webhook that blocks), so does the answer.
 */
import type { ResponseHeaders, ResponseSink } from "../http/exchange.ts";
import type { RequestAudit } from "./request-audit.ts";

export class AuditedSink implements ResponseSink {
  readonly #inner: ResponseSink;
  readonly #audit: RequestAudit;
  #held = false;
  status = 0;

  constructor(inner: ResponseSink, audit: RequestAudit) {
    this.#inner = inner;
    this.#audit = audit;
  }

  get started() {
    return this.#held || this.#inner.started;
  }

  get closed() {
    return this.#inner.closed;
  }

  get bytes() {
    return this.#inner.bytes;
  }

  head(status: number, headers: ResponseHeaders): void {
    this.status = status;
    this.#audit.started(status);
    this.#inner.head(status, headers);
  }

  respond(status: number, headers: ResponseHeaders, body: Uint8Array | string): void {
    this.status = status;
    this.#audit.started(status);
    this.#after(this.#audit.complete(), () => this.#inner.respond(status, headers, body));
  }

  write(chunk: Uint8Array): boolean {
    return this.#inner.write(chunk);
  }

  drained(): Promise<void> {
    return this.#inner.drained();
  }

  end(): void {
    this.#after(this.#audit.complete(), () => this.#inner.end());
  }

  abort(): void {
    this.#inner.abort();
  }

  #after(done: boolean | Promise<boolean>, then: () => void): void {
    if (done instanceof Promise) {
      this.#held = true;
      void done.then(then);
    } else then();
  }
}
