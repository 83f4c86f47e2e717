import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvertError, type Manifest, print, readManifests, toVersion } from "./convert.ts";

const read = (text: string) => readManifests(Buffer.from(text), "file");
const convert = async (text: string, version?: string) =>
  (await read(text)).map((object) => toVersion(object, version));

/** What a dotted path leads to. */
const field = (object: object | undefined, path: string): unknown =>
  path.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object); // plain JSON

const oldService = `
apiVersion: v1beta3
kind: Service
metadata: {name: web}
spec:
  portalIP: 10.0.0.7
  createExternalLoadBalancer: true
  publicIPs: [192.0.2.1]
  ports: [{port: 80, targetPort: 8080, nodePort: 0}]
`;

test("convert: a v1beta3 service has today's names", async () => {
  const [service] = await convert(oldService);
  assert.deepEqual(service, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web" },
    spec: {
      clusterIP: "10.0.0.7",
      type: "LoadBalancer",
      externalIPs: ["192.0.2.1"],
      ports: [{ port: 80, targetPort: 8080 }],
    },
    status: { loadBalancer: {} },
  });
});

test("convert: an explicit type of a v1beta3 service wins; the first v1's deprecatedPublicIPs too", async () => {
  const [typed] = await convert(oldService.replace("  portalIP", "  type: NodePort\n  portalIP"));
  assert.equal(field(typed, "spec.type"), "NodePort");
  const [first] = await convert(
    `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"deprecatedPublicIPs":["192.0.2.1"],"externalIPs":["192.0.2.2"]}}`,
  );
  assert.deepEqual(first?.spec, { externalIPs: ["192.0.2.1"] });
});

test("convert: v1beta3 pods, alone, in templates and in lists", async () => {
  const spec = {
    host: "node-1",
    serviceAccount: "robot",
    containers: [{ name: "a", image: "b", privileged: true, capabilities: {} }],
  };
  const list = {
    apiVersion: "v1beta3",
    kind: "PodList",
    items: [
      {
        metadata: { name: "p" },
        spec,
        status: {
          Condition: [{ type: "Ready", status: "True" }],
          containerStatuses: [
            {
              name: "a",
              image: "b",
              imageID: "",
              ready: false,
              restartCount: 0,
              state: { termination: { exitCode: 1 } },
            },
          ],
        },
      },
    ],
  };
  const [pod] = await convert(JSON.stringify(list));
  const modern = {
    nodeName: "node-1",
    serviceAccountName: "robot",
    containers: [{ name: "a", image: "b", securityContext: { privileged: true }, resources: {} }],
  };
  assert.deepEqual(pod?.spec, modern);
  assert.equal(pod?.kind, "Pod");
  assert.equal(field(pod, "status.conditions.0.type"), "Ready");
  assert.equal(field(pod, "status.containerStatuses.0.state.terminated.exitCode"), 1);
  const [controller] = await convert(
    JSON.stringify({
      apiVersion: "v1beta3",
      kind: "ReplicationController",
      metadata: { name: "c" },
      spec: { replicas: 2, template: { spec } },
    }),
  );
  assert.deepEqual(field(controller, "spec.template.spec"), modern);
  const [endpoints] = await convert(
    `{"apiVersion":"v1beta3","kind":"Endpoints","metadata":{"name":"e"},"subsets":[{"addresses":[{"IP":"10.1.1.1"}],"ports":[{"port":1}]}]}`,
  );
  assert.deepEqual(endpoints?.subsets, [{ addresses: [{ ip: "10.1.1.1" }], ports: [{ port: 1 }] }]);
});

test("convert: served versions, one to another and back", async () => {
  const v1 = `{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"a"},"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"},"targetCPUUtilizationPercentage":70}}`;
  const [v2] = await convert(v1);
  assert.equal(v2?.apiVersion, "autoscaling/v2");
  assert.deepEqual(field(v2, "spec.metrics"), [
    { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 70 } } },
  ]);
  const back = toVersion(structuredClone(v2) as Manifest, "autoscaling/v1");
  assert.equal((back.spec as { targetCPUUtilizationPercentage: number }).targetCPUUtilizationPercentage, 70);
  const [event] = await convert(
    `{"apiVersion":"v1","kind":"Event","metadata":{"name":"e","namespace":"d"},"involvedObject":{"kind":"Pod","name":"p","namespace":"d"},"message":"text","reason":"R","type":"Normal"}`,
    "events.k8s.io/v1",
  );
  assert.equal(event?.note, "text");
});

test("convert: media types come back as they went", async () => {
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {octal: "010", yes: "no"}\n---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n`;
  const objects = await read(text);
  assert.equal(objects.length, 2);
  for (const format of ["json", "yaml"] as const)
    assert.deepEqual(await readManifests(await print(objects, format), "again"), objects);
  for (const object of objects)
    assert.deepEqual(await readManifests(await print([object], "protobuf"), "again"), [object]);
});

test("convert: what is wrong is said, nothing is dropped", async () => {
  const refused: [text: string, message: RegExp][] = [
    ["", /^file: holds no object$/],
    ["{", /^file: .*JSON/],
    ["[1]", /^file: want an object with apiVersion and kind, have \[1\]$/],
    ["kind: Pod", /^file: apiVersion and kind must say what it is$/],
    ["apiVersion: v1beta2\nkind: Pod", /^file: no kind "Pod" in version "v1beta2"$/],
    [oldService.replace("portalIP", "portalIp"), /unknown field "spec.portalIp"/],
    [`{"apiVersion":"v1","kind":"Secret","data":{"a":""},"data":{}}`, /key "data" already set/],
    ["apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: Nope", /^file, document 2: no kind "Nope"/],
    [
      `{"apiVersion":"v1beta3","kind":"Pod","spec":{"containers":[{"name":"a","privileged":true,"securityContext":{"privileged":false}}]}}`,
      /^file: spec.containers\[0\].privileged and spec.containers\[0\].securityContext.privileged say different things/,
    ],
  ];
  for (const [text, message] of refused)
    await assert.rejects(read(text), (error) => error instanceof ConvertError && message.test(error.message), text);
  const [pod] = await read("apiVersion: v1\nkind: Pod\nmetadata: {name: a}");
  assert.throws(() => toVersion(pod as Manifest, "v2"), /Pod of v1 has no version "v2"; it has v1/);
});
