/** JSON as YAML, the way upstream prints it: keys sorted, lists as deep as their key, words of YAML 1.1 quoted. */
import { stringify } from "yaml";

export function printYaml(json: Uint8Array): string {
  return stringify(JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString("utf8")), {
    version: "1.1",
    aliasDuplicateObjects: false,
    lineWidth: 0,
    sortMapEntries: true,
    indentSeq: false,
  });
}
