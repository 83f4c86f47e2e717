/** What is asked of a server to see how long it holds up others. */

export type Ask = (
  method: string,
  path: string,
  body?: object | string,
  options?: { headers?: Readonly<Record<string, string>>; until?: RegExp },
) => Promise<{ status: number; bytes: number; text: string }>;

export interface Case {
  readonly what: string;
  /** Not measured. */
  readonly prepare?: (
    ask: Ask,
    inParallel: (count: number, run: (index: number) => Promise<unknown>) => Promise<void>,
  ) => Promise<unknown>;
  readonly run: (ask: Ask) => ReturnType<Ask>;
}

const pods = "/api/v1/namespaces/bench/pods";
const configMaps = "/api/v1/namespaces/bench/configmaps";
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const protobuf = "application/vnd.kubernetes.protobuf";
const table = "application/json;as=Table;v=v1;g=meta.k8s.io";
const applyType = "application/apply-patch+yaml";

/** So many pods are there; so large is what else is counted. */
export function casesOf({ pods: count, large }: { pods: number; large: number }): readonly Case[] {
  const small = large < 1_000;
  const get = (what: string, path: string, headers: Readonly<Record<string, string>> = {}): Case => ({
    what,
    run: (ask) => ask("GET", path, undefined, { headers }),
  });
  const watch = `${pods}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`;
  const patched =
    (type: string, body: object, query = ""): Case["run"] =>
    (ask) =>
      ask("PATCH", `${configMaps}/patched${query}`, body, { headers: { "content-type": type } });
  const prepare: Case["prepare"] = (ask) =>
    ask("POST", configMaps, { metadata: { name: "patched" }, data: { a: "b" } });
  const operations = Array.from({ length: large }, (_, at) => ({ op: "add", path: `/data/k${at}`, value: "v" }));
  const many = Object.fromEntries(Array.from({ length: large }, (_, at) => [`k${at}`, "v".repeat(80)]));
  const megabyte = small ? 10_000 : 1_000_000;
  return [
    get(`list of ${count}`, pods),
    get(`list of ${count}, protobuf`, pods, { accept: protobuf }),
    get(`list of ${count}, table`, pods, { accept: table }),
    get(`list of ${count}, metadata`, pods, {
      accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    }),
    get(`list of ${count}, gzip`, pods, { "accept-encoding": "gzip" }),
    get(`list of ${count}, YAML`, pods, { accept: "application/yaml" }),
    get(`list by label of ${count}`, `${pods}?labelSelector=app%3Da1`),
    get(`list by field of ${count}`, `${pods}?fieldSelector=status.phase%3DRunning`),
    get(`page of 500 of ${count}`, `${pods}?limit=500`),
    { what: `watch, initial ${count}`, run: (ask) => ask("GET", watch, undefined, { until: /initial-events-end/ }) },
    {
      what: `watch, initial ${count}, protobuf`,
      run: (ask) =>
        ask("GET", watch, undefined, { headers: { accept: `${protobuf};stream=watch` }, until: /initial-events-end/ }),
    },
    {
      what: "definition, schema of 1 MB",
      run: (ask) => ask("POST", definitions, definitionOf("large", small ? 20 : 6_000)),
    },
    get("OpenAPI v2 after it", "/openapi/v2"),
    get("OpenAPI v2 after it, protobuf", "/openapi/v2", {
      accept: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    }),
    get("OpenAPI v3 of it", "/openapi/v3/apis/bench.example.com/v1"),
    get("OpenAPI v3 of the core", "/openapi/v3/api/v1"),
    {
      what: "object of that definition",
      run: (ask) =>
        ask("POST", "/apis/bench.example.com/v1/larges", {
          apiVersion: "bench.example.com/v1",
          kind: "Large",
          metadata: { name: "a" },
          spec: Object.fromEntries(Array.from({ length: small ? 20 : 6_000 }, (_, at) => [`field${at}`, "value"])),
        }),
    },
    {
      what: "config map of 1 MB",
      run: (ask) => ask("POST", configMaps, { metadata: { name: "large" }, data: { k: "v".repeat(megabyte) } }),
    },
    {
      what: `config map of ${large} keys`,
      run: (ask) => ask("POST", configMaps, { metadata: { name: "many" }, data: many }),
    },
    {
      what: "config map of 3 MB",
      run: (ask) => ask("POST", configMaps, { metadata: { name: "larger" }, data: { k: "v".repeat(megabyte * 3) } }),
    },
    {
      what: "config map of 3.2 MB",
      run: (ask) => ask("POST", configMaps, { metadata: { name: "largest" }, data: { k: "v".repeat(3_200_000) } }),
    },
    {
      what: `JSON patch, ${large} operations`,
      prepare,
      run: patched("application/json-patch+json", operations),
    },
    { what: `merge patch, ${large} keys`, prepare, run: patched("application/merge-patch+json", { data: many }) },
    {
      what: `apply, ${large} keys`,
      prepare,
      run: patched(
        applyType,
        { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "patched" }, data: many },
        "?fieldManager=bench&force=true",
      ),
    },
    {
      what: `delete of ${large / 2}`,
      prepare: (ask, inParallel) =>
        inParallel(large / 2, (at) =>
          ask("POST", "/api/v1/namespaces/bench/secrets", { metadata: { name: `s-${at}` } }),
        ),
      run: (ask) => ask("DELETE", "/api/v1/namespaces/bench/secrets"),
    },
  ];
}

/** Each field takes about 160 bytes. */
function definitionOf(name: string, fields: number): object {
  const properties = Object.fromEntries(
    Array.from({ length: fields }, (_, at) => [
      `field${at}`,
      {
        type: "string",
        maxLength: 64,
        pattern: "^[a-z]*$",
        description: `What field ${at} is for, in some more words than it needs, as usual.`,
      },
    ]),
  );
  const kind = `${name[0]?.toUpperCase()}${name.slice(1)}`;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${name}s.bench.example.com` },
    spec: {
      group: "bench.example.com",
      scope: "Cluster",
      names: { plural: `${name}s`, kind },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties } } } },
        },
      ],
    },
  };
}
