/** Definitions for tests: made, waited for, and what they define refused. */
import assert from "node:assert/strict";
import type { DefinitionCondition } from "#api";
import type { TestObject, TestServer } from "../test-server.ts";

export const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
export const group = "shop.example.com";

export interface Definition {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly [field: string]: unknown };
}

interface Defining {
  readonly versions: readonly object[];
  readonly group?: string;
  /** Of the definition's spec. */
  readonly more?: object;
}

export function definition(plural: string, kind: string, { versions, group: of = group, more }: Defining): Definition {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${of}` },
    spec: { group: of, scope: "Namespaced", names: { plural, kind }, versions, ...more },
  };
}

/** Served, and stored unless something else is said. */
export const version = (name: string, openAPIV3Schema: object, more: object = {}): object => ({
  name,
  served: true,
  storage: true,
  schema: { openAPIV3Schema },
  ...more,
});

type Conditions = readonly DefinitionCondition[];

/** Resolves when the definition looks as wanted; gone: undefined. Every look is caused by an event. */
export async function until(
  api: TestServer,
  name: string,
  wanted: (conditions: Conditions | undefined, definition: TestObject | undefined) => boolean,
): Promise<void> {
  const stop = new AbortController();
  const query = { fieldSelector: `metadata.name=${name}`, resourceVersion: "0", watch: true };
  const request = { method: "GET", path: definitions, query, signal: stop.signal } as const;
  await api.transport.watch(request, ({ object, type }) => {
    if (type === "BOOKMARK") return;
    const found = type === "DELETED" ? undefined : (object as TestObject);
    const conditions = found?.status?.conditions as Conditions | null | undefined;
    if (wanted(conditions ?? undefined, found)) stop.abort();
  });
}

export const established = (conditions: Conditions | undefined): boolean =>
  conditions?.some(({ type, status }) => type === "Established" && status === "True") === true;

export async function define(api: TestServer, object: Definition): Promise<void> {
  await api.call("POST", definitions, object);
  await until(api, object.metadata.name, established);
}

export const fails = (work: Promise<unknown>, code: number, message: RegExp | string): Promise<void> =>
  assert.rejects(work, (error: Error & { code: number }) => {
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    assert.equal(error.code, code);
    return true;
  });
