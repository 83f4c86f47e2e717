export { CborError, decodeCbor, decodeCborObject, readCborWords } from "./decode.ts";
export { CborWriter, encodeCbor, selfDescribed } from "./encode.ts";
