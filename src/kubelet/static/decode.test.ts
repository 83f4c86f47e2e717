import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeManifest, ManifestError } from "./decode.ts";

const file = { kind: "file", name: "/m/a.yaml" } as const;
const pod = (spec: object = {}, metadata: object = {}) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a", ...metadata },
    spec: { containers: [{ name: "c", image: "i" }], ...spec },
  });
const one = async (text: string, source: Parameters<typeof decodeManifest>[1] = file, node = "node1") => {
  const [first] = await decodeManifest(text, source, node);
  assert.ok(first);
  return first;
};

test("static pod: has the node's name after its own, a uid of text and place, defaults, and bears what evicts", async () => {
  const { metadata, spec, status } = await one(pod());
  assert.equal(metadata.name, "a-node1");
  assert.equal(metadata.namespace, "default");
  assert.match(metadata.uid ?? "", /^[0-9a-f]{32}$/);
  assert.deepEqual(metadata.annotations, {
    "kubernetes.io/config.hash": metadata.uid,
    "kubernetes.io/config.source": "file",
  });
  assert.equal(spec?.nodeName, "node1");
  assert.equal(spec?.restartPolicy, "Always");
  assert.deepEqual(spec?.tolerations, [{ operator: "Exists", effect: "NoExecute" }]);
  assert.deepEqual(status, { phase: "Pending" });
});

test("static pod: another text, file or node is another pod; another order of fields isn't", async () => {
  const uid = async (...args: Parameters<typeof one>) => (await one(...args)).metadata.uid;
  const first = await uid(pod());
  assert.equal(await uid(pod()), first);
  const yaml = "spec: {containers: [{image: i, name: c}]}\nkind: Pod # a word\nmetadata: {name: a}\napiVersion: v1\n";
  assert.equal(await uid(yaml), first);
  const others = [
    await uid(pod({ hostNetwork: true })),
    await uid(pod(), { kind: "file", name: "/m/b.yaml" }),
    await uid(pod(), file, "node2"),
    await uid(pod(), { kind: "http", name: "http://x" }),
  ];
  assert.equal(new Set([first, ...others]).size, 5);
  assert.equal(await uid(pod({}, { uid: "mine" })), "mine");
});

test("static pod: a URL brings one or a list, and its pods may be evicted", async () => {
  const http = { kind: "http", name: "http://x/pods" } as const;
  const { metadata, spec } = await one(pod(), http);
  assert.equal(metadata.annotations?.["kubernetes.io/config.source"], "http");
  assert.equal(spec?.tolerations, undefined);
  const list = `{"apiVersion":"v1","kind":"PodList","items":[${pod()},${pod({}, { name: "b", namespace: "n" })}]}`;
  const names = (await decodeManifest(list, http, "n1")).map(
    (each) => `${each.metadata.namespace}/${each.metadata.name}`,
  );
  assert.deepEqual(names, ["default/a-n1", "n/b-n1"]);
  await assert.rejects(decodeManifest(list, file, "n1"), /couldn't parse as pod\(no kind "PodList" is registered/);
});

const secretVolume = (source: object) => ({ volumes: [{ name: "v", ...source }] });
for (const [name, text, message] of [
  ["no YAML", "a: [", /^\/m\/a\.yaml: couldn't parse as pod\(yaml: .*\), please check config file$/],
  ["nothing", "", /couldn't parse as pod\(Object 'Kind' is missing in '\{\}'\)/],
  ["another kind", '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}', /no kind "ConfigMap"/],
  ["no name", pod({}, { name: "" }), /^invalid pod: name is needed for the pod$/],
  ["a wrong type", pod({ containers: 5 }), /couldn't parse as pod\(.*cannot unmarshal number/],
  ["no containers", pod({ containers: [] }), /^invalid pod: \[spec\.containers: Required value\]$/],
  ["a bad name", pod({}, { name: "A_b" }), /^invalid pod: \[metadata\.name: Invalid value: "A_b-node1"/],
  ["a service account", pod({ serviceAccountName: "x" }), "serviceaccounts"],
  ["a pull secret", pod({ imagePullSecrets: [{ name: "x" }] }), "secrets"],
  [
    "a variable of a secret",
    pod({ containers: [{ name: "c", image: "i", envFrom: [{ secretRef: { name: "x" } }] }] }),
    "secrets",
  ],
  [
    "a variable of a map",
    pod({ containers: [{ name: "c", image: "i", envFrom: [{ configMapRef: { name: "x" } }] }] }),
    "configmaps",
  ],
  ["a map's volume", pod(secretVolume({ configMap: { name: "x" } })), "configmaps (via configmap volumes)"],
  ["a claim", pod(secretVolume({ persistentVolumeClaim: { claimName: "x" } })), "persistentvolumeclaims"],
  [
    "a token",
    pod(secretVolume({ projected: { sources: [{ serviceAccountToken: { path: "t" } }] } })),
    /serviceAccountToken: Forbidden/,
  ],
  [
    "a projected map",
    pod(secretVolume({ projected: { sources: [{ configMap: { name: "x" } }] } })),
    "configmaps (via projected volumes)",
  ],
  ["an inline driver", pod(secretVolume({ csi: { driver: "d.example.com" } })), "csidrivers (via CSI volumes)"],
] as const)
  test(`static pod: ${name} is refused in upstream's words`, async () => {
    const expected = typeof message === "string" ? `static pods may not reference ${message}` : message;
    await assert.rejects(decodeManifest(text, file, "node1"), (error) => {
      assert.ok(error instanceof ManifestError, String(error));
      if (typeof expected === "string") assert.equal(error.message, expected);
      else assert.match(error.message, expected);
      return true;
    });
  });

test("static pod: what needs no API server may be mounted", async () => {
  const volumes = [
    { name: "h", hostPath: { path: "/" } },
    { name: "e", emptyDir: {} },
    { name: "d", downwardAPI: { items: [{ path: "n", fieldRef: { fieldPath: "metadata.name" } }] } },
  ];
  assert.equal((await one(pod({ volumes }))).spec?.volumes?.length, 3);
});
