/** A value that its field cannot hold; the message is what clients see. */
export class DecodeError extends Error {
  override name = "DecodeError";
}
