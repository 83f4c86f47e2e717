/** A failure that upstream writes as text, not as a Status: its filters before the handlers know no formats. */
export class PlainFailure extends Error {
  override readonly name = "PlainFailure";
}

/** `uri`: path and query of the request. */
export const plainFailureText = (uri: string, why: string): string =>
  `Internal Server Error: ${JSON.stringify(uri)}: ${why}\n`;
