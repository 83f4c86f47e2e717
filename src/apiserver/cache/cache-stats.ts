/** What a cache has done so far: counted here, told by the metrics when someone asks. */
export class CacheStats {
  readonly initializations = 1;
  received = 0;
  dispatched = 0;
  /** Watchers cut off because they were too slow. */
  terminated = 0;
  listed = 0;
  /** Objects looked at for lists, and those that were in the answers. */
  fetched = 0;
  returned = 0;

  list(fetched: number, returned: number): void {
    this.listed++;
    this.fetched += fetched;
    this.returned += returned;
  }
}
