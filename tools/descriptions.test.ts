import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { describe, readDescriptions } from "./descriptions.ts";

test("descriptions: comments of the class and of its fields, without escapes", () => {
  assert.deepEqual(
    describe(`/**
 * Kubernetes
 */
import { X } from './X';
/**
* A thing.
*/
export declare class V1Thing {
    /**
    * Called \\"it\\" by the node\\'s owner.
    */
    'name'?: string;
    'plain'?: X;
}
`),
    ["A thing.", { name: `Called "it" by the node's owner.` }],
  );
});

test("descriptions: the package describes what is served", () => {
  const all = readDescriptions(
    path.join(import.meta.dirname, "../node_modules/@kubernetes/client-node/dist/gen/models"),
  );
  assert.ok(Object.keys(all).length > 800, `${Object.keys(all).length} types`);
  assert.ok(all.V1PodSpec?.[1].containers);
  assert.ok(all.CoreV1Event?.[0]);
});
