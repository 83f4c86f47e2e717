/** What the machine refused, or what was asked for and can't be. */
export class NetworkError extends Error {
  override name = "NetworkError";
}
