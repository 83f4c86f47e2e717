/**
 * A patch that cannot be read (`malformed`, 400), that doesn't fit the object (`unprocessable`, 422 without the reason),
 * or that upstream stumbles over (`internal`, 500). The message is upstream's; the registry makes the status.
 */
export class PatchError extends Error {
  override name = "PatchError";
  readonly code: "malformed" | "unprocessable" | "internal" | "too-large";

  constructor(code: PatchError["code"], message: string) {
    super(message);
    this.code = code;
  }
}
