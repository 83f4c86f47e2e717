/** Which form of discovery an Accept header gets (test/e2e/apimachinery/aggregated_discovery.go), over HTTPS. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { json } from "node:stream/consumers";
import { test } from "node:test";
import { startTestServer, testCertificate } from "../../src/apiserver/test-server.ts";

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const beta = aggregated.replace("v=v2", "v=v2beta1");
const plain = "application/json";

test("conformance: AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers", async (t) => {
  const tls = await testCertificate();
  const api = await startTestServer({ tls });
  t.after(() => api.close());
  const { port } = await api.server.listen({ host: "127.0.0.1", port: 0 });
  const get = async (path: string, accept: string) => {
    const headers = { accept, authorization: "Bearer admin" };
    const call = request({ host: "127.0.0.1", port, path, headers, rejectUnauthorized: false }).end();
    const [answer] = (await once(call, "response")) as [IncomingMessage];
    return { type: answer.headers["content-type"], body: (await json(answer)) as { kind: string; items?: object[] } };
  };
  const cases: [accept: string, type: string][] = [
    [`${aggregated},${plain}`, aggregated],
    [aggregated, aggregated],
    [`${plain},${aggregated}`, plain],
    [plain, plain],
    // The first that is served counts; what is no longer served is passed over.
    [`${beta},${aggregated},${plain}`, aggregated],
    [`${beta},${plain}`, plain],
    [`${aggregated.replace("v=v2", "v=v9")},${plain}`, plain],
    ["*/*", plain],
  ];
  for (const path of ["/api", "/apis"])
    for (const [accept, wanted] of cases) {
      const { type, body } = await get(path, accept);
      assert.equal(type, wanted, `${path} ${accept}`);
      if (wanted === aggregated) {
        assert.equal(body.kind, "APIGroupDiscoveryList");
        assert.ok((body.items?.length ?? 0) > 0);
      } else assert.match(body.kind, /^API(Versions|GroupList)$/);
    }
});
