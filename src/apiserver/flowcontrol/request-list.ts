/** Requests in the order they came, each taken out in one step wherever it stands. A request is in one list at a time: it waits or it runs. */
export interface Listed<T> {
  next: T | undefined;
  previous: T | undefined;
}

export class RequestList<T extends Listed<T>> {
  #first: T | undefined;
  #last: T | undefined;
  length = 0;

  get first(): T | undefined {
    return this.#first;
  }

  add(item: T): void {
    item.previous = this.#last;
    item.next = undefined;
    if (this.#last) this.#last.next = item;
    else this.#first = item;
    this.#last = item;
    this.length++;
  }

  remove(item: T): void {
    const { next, previous } = item;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    item.next = undefined;
    item.previous = undefined;
    this.length--;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let item = this.#first; item; item = item.next) yield item;
  }
}
