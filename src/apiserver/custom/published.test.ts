/** What clients are told of a definition: it is there as soon as the definition is established, and gone as soon as it isn't. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { afterEach, before, beforeEach, test } from "node:test";
import { createAuthority, issueCertificate, type KeyPair } from "../security/certificates.ts";
import { startTestServer, type TestServer } from "../test-server.ts";
import { define, definition, definitions, fails, until, version } from "./testing.ts";

let api: TestServer;

let tls: KeyPair;

before(async () => {
  const now = Date.now();
  const authority = await createAuthority("test", { now, validDays: 1 });
  tls = await issueCertificate(authority, { commonName: "test", usages: ["server"], validDays: 1, now });
});
beforeEach(async () => {
  api = await startTestServer({ tls });
});
afterEach(() => api.close());

const schema = { type: "object", properties: { spec: { type: "object", properties: { size: { type: "string" } } } } };
const merge = { contentType: "application/merge-patch+json" };
const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

interface Documents {
  definitions?: Record<string, object>;
  components?: { schemas: Record<string, object> };
}

/** Names of the custom types in the document of all. */
async function namesV2(suffix = "example.com"): Promise<string[]> {
  const { definitions: found = {} } = (await api.call("GET", "/openapi/v2")) as Documents;
  const prefix = suffix.split(".").reverse().join(".");
  return Object.keys(found).filter((name) => name.startsWith(prefix) && !name.endsWith("List"));
}

async function namesV3(groupVersion: string): Promise<string[]> {
  const { components } = (await api.call("GET", `/openapi/v3/apis/${groupVersion}`)) as Documents;
  return Object.keys(components?.schemas ?? {}).filter((name) => name.startsWith("com.") && !name.endsWith("List"));
}

// conformance: [sig-api-machinery] CustomResourcePublishOpenAPI works for multiple CRDs of different groups [Conformance]
// conformance: [sig-api-machinery] CustomResourcePublishOpenAPI works for multiple CRDs of same group and version but different kinds [Conformance]
// conformance: [sig-api-machinery] CustomResourcePublishOpenAPI works for multiple CRDs of same group but different versions [Conformance]
test("published definitions: of several groups, versions and kinds", async () => {
  const versions = [version("v1", schema), version("v2", schema, { storage: false })];
  await define(api, definition("widgets", "Widget", { versions }));
  await define(api, definition("gears", "Gear", { versions: [version("v1", schema)] }));
  await define(api, definition("wheels", "Wheel", { versions: [version("v1", schema)], group: "cars.example.com" }));
  const [widget, gear] = ["com.example.shop.v1.Widget", "com.example.shop.v1.Gear"];
  const all = [widget, gear, "com.example.shop.v2.Widget", "com.example.cars.v1.Wheel"];
  assert.deepEqual((await namesV2()).sort(), all.sort());
  assert.deepEqual((await namesV3("shop.example.com/v1")).sort(), [gear, widget]);
  assert.deepEqual(await namesV3("shop.example.com/v2"), ["com.example.shop.v2.Widget"]);
});

// conformance: [sig-api-machinery] CustomResourcePublishOpenAPI removes definition from spec when one version gets changed to not be served [Conformance]
// conformance: [sig-api-machinery] CustomResourcePublishOpenAPI updates the published spec when one version gets renamed [Conformance]
test("published definitions: follow which versions are served", async () => {
  const patch = async (versions: object[], served: string) => {
    await api.call("PATCH", `${definitions}/widgets.shop.example.com`, { spec: { versions } }, merge);
    const path = `/apis/shop.example.com/${served}/widgets`;
    while (!(await api.call("GET", path).catch(() => undefined))) await new Promise(setImmediate);
  };
  const first = version("v1", schema);
  await define(api, definition("widgets", "Widget", { versions: [first, version("v2", schema, { storage: false })] }));
  await patch([first, version("v3", schema, { storage: false })], "v3");
  assert.deepEqual((await namesV2()).sort(), ["com.example.shop.v1.Widget", "com.example.shop.v3.Widget"]);
  await fails(namesV3("shop.example.com/v2"), 404, /./);
  await patch([first, version("v3", schema, { storage: false, served: false })], "v1");
  assert.deepEqual(await namesV2(), ["com.example.shop.v1.Widget"]);
  await fails(api.call("GET", "/apis/shop.example.com/v3"), 404, /./);
});

interface Discovered {
  items: { metadata: { name: string }; versions: { version: string; resources: { resource: string }[] }[] }[];
}

async function discover(port: number): Promise<Discovered> {
  const headers = { authorization: "Bearer admin", accept };
  const asked = request({ host: "127.0.0.1", port, path: "/apis", headers, rejectUnauthorized: false, agent: false });
  const [answer] = (await once(asked.end(), "response")) as [IncomingMessage];
  return JSON.parse(await text(answer)) as Discovered;
}

// conformance: [sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface for CRDs [Conformance]
// conformance: [sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery request for CRDs [Conformance]
test("published definitions: are discovered at once, and gone with the definition", async () => {
  const { port } = await api.server.listen({ host: "127.0.0.1", port: 0 });
  const discovered = async () => {
    const { items } = await discover(port);
    return items.find(({ metadata }) => metadata.name === "shop.example.com");
  };
  assert.equal(await discovered(), undefined);
  const subresources = { status: {}, scale: { specReplicasPath: ".spec.n", statusReplicasPath: ".status.n" } };
  const names = { plural: "widgets", kind: "Widget", shortNames: ["wd"], categories: ["all"] };
  const versions = [version("v1", schema, { subresources }), version("v2beta1", schema, { storage: false })];
  await define(api, definition("widgets", "Widget", { versions, more: { names } }));
  const found = await discovered();
  assert.deepEqual(
    found?.versions.map(({ version: name }) => name),
    ["v1", "v2beta1"],
  );
  assert.deepEqual(found?.versions[0]?.resources[0], {
    resource: "widgets",
    responseKind: { group: "shop.example.com", version: "v1", kind: "Widget" },
    scope: "Namespaced",
    singularResource: "widget",
    verbs: ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
    shortNames: ["wd"],
    categories: ["all"],
    subresources: [
      {
        subresource: "status",
        responseKind: { group: "shop.example.com", version: "v1", kind: "Widget" },
        verbs: ["get", "patch", "update"],
      },
      {
        subresource: "scale",
        responseKind: { group: "autoscaling", version: "v1", kind: "Scale" },
        verbs: ["get", "patch", "update"],
      },
    ],
  });
  await api.call("DELETE", `${definitions}/widgets.shop.example.com`);
  await until(api, "widgets.shop.example.com", (_, object) => object === undefined);
  assert.equal(await discovered(), undefined);
  await fails(api.call("GET", "/apis/shop.example.com"), 404, /./);
  assert.deepEqual(await namesV2(), []);
});

test("published definitions: a kind named like another isn't described as that one", async () => {
  await define(api, definition("services", "Service", { versions: [version("v1", schema)] }));
  const { components } = (await api.call("GET", "/openapi/v3/apis/shop.example.com/v1")) as Documents;
  const found = components?.schemas["com.example.shop.v1.Service"] as { description?: string };
  assert.equal(found.description, undefined);
});

test("published definitions: what may be selected is told with the kind and its list", async () => {
  const selectableFields = [{ jsonPath: ".spec.size" }];
  await define(api, definition("widgets", "Widget", { versions: [version("v1", schema, { selectableFields })] }));
  const { components } = (await api.call("GET", "/openapi/v3/apis/shop.example.com/v1")) as Documents;
  for (const kind of ["Widget", "WidgetList"]) {
    const found = components?.schemas[`com.example.shop.v1.${kind}`] as Record<string, unknown>;
    assert.deepEqual(found["x-kubernetes-selectable-fields"], [{ fieldPath: "spec.size" }]);
  }
});
