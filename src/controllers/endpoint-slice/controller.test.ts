import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Pod } from "#api";
import { FakeTransport } from "#testing";
import { runController, testPod } from "../lib/fixture.ts";
import { endpointSliceController } from "./controller.ts";

const slicesPath = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const podsPath = "/api/v1/namespaces/default/pods";
const slicesIn = (transport: FakeTransport) =>
  [...transport.objects].filter(([path]) => path.startsWith(slicesPath)).map(([, object]) => object as EndpointSlice);

function web(name: string, ip: string, readySince?: number): Pod {
  const made = testPod({ name, node: "n1", ...(readySince === undefined ? {} : { readySince }) });
  return { ...made, status: { ...made.status, podIP: ip, podIPs: [{ ip }] } };
}

test("endpoint slice controller: follows pods, waits for nodes, mends what others change", async () => {
  const transport = new FakeTransport();
  transport.create("/api/v1/namespaces/default/services", {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web" },
    spec: { selector: { app: "web" }, clusterIP: "10.96.0.1", ipFamilies: ["IPv4"], ports: [{ port: 80 }] },
  } as object);
  transport.create(podsPath, web("p1", "10.0.0.1", 5));
  const running = runController(endpointSliceController, transport);
  await running.until(() => slicesIn(transport).length === 1);
  assert.equal(slicesIn(transport)[0]?.endpoints?.length, 0);
  transport.create("/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name: "n1" } });
  await running.until(() => slicesIn(transport)[0]?.endpoints?.length === 1);
  transport.create(podsPath, web("p2", "10.0.0.2"));
  await running.until(() => slicesIn(transport)[0]?.endpoints?.length === 2);
  const [slice] = slicesIn(transport);
  assert.deepEqual(
    slice?.endpoints?.map(({ addresses, conditions }) => [addresses[0], conditions?.ready]),
    [
      ["10.0.0.1", true],
      ["10.0.0.2", false],
    ],
  );
  transport.put(podsPath + "/p2", web("p2", "10.0.0.2", 0));
  await running.until(() => slicesIn(transport)[0]?.endpoints?.[1]?.conditions?.ready === true);

  transport.remove(`${slicesPath}/${slice?.metadata.name}`);
  await running.until(() => {
    running.clock.advance(1000);
    return slicesIn(transport)[0]?.endpoints?.length === 2;
  });
  await running.stop();
});
