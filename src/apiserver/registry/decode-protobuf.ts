/** Bodies in protobuf: what client-go's typed clients and the conformance suite send for built-in kinds. */
import {
  createProtobufCodec,
  type DecodeOptions,
  type Decoded,
  decodeEnvelope,
  decodeValue,
  isProtobufEnvelope,
  ProtobufError,
  statusError,
  summarize,
} from "#machinery";

const codec = createProtobufCodec("kubernetes");

export function decodeProtobuf(bytes: Buffer, options: DecodeOptions): Decoded {
  const { expected, schemaOf } = options;
  const refuse = (why: string) =>
    statusError.badRequest(
      options.bare
        ? why
        : `the object provided is unrecognized (must be of type ${expected.kind}): ${why} (${summarize(bytes)})`,
    );
  if (bytes.length === 0) throw refuse("empty data");
  if (!isProtobufEnvelope(bytes)) {
    throw refuse("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  }
  try {
    const { apiVersion, kind, raw } = decodeEnvelope(bytes);
    const type = schemaOf(apiVersion || expected.apiVersion, kind || expected.kind);
    // An unknown kind is refused with the words that JSON gets.
    return decodeValue({ ...(type && codec.decode(type, raw)), apiVersion, kind }, options);
  } catch (error) {
    if (error instanceof ProtobufError) throw refuse(error.message);
    throw error;
  }
}
