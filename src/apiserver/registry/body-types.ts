/** What the body of a write may be. */
import { type StatusError, statusError } from "#machinery";
import { acceptedMediaTypes, cborType } from "../http/media-type.ts";
import type { RequestBody } from "./call.ts";

export const takesCbor = ({ mediaTypes }: RequestBody): boolean => mediaTypes?.includes(cborType) === true;

/** And may be. */
export const isCbor = (body: RequestBody): boolean => body.contentType === cborType && takesCbor(body);

export const unsupportedBody = ({ mediaTypes = acceptedMediaTypes }: RequestBody): StatusError =>
  statusError.unsupportedMediaType(mediaTypes);
