/** What pods see of volumes, as Kubernetes' conformance suite asks for it (test/e2e/common/storage, test/e2e/storage), on real containers. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ClusterApi } from "#testing";
import { containerOf, type NodeCluster, podOf, startNodeCluster, whyNoPods } from "./node-pods.ts";

const merge = "application/merge-patch+json";
const base64 = (text: string) => Buffer.from(text).toString("base64");
/** Mode, owner and group of what a path leads to. */
const about = (path: string) => `busybox stat -L -c '%a %u %g' ${path}`;
const keys = { "data-1": "value-1", "data-2": "value-2", "data-3": "value-3" };

type Source = "configMap" | "secret" | "projected configMap" | "projected secret";
interface SourceOptions {
  readonly items?: readonly object[];
  readonly defaultMode?: number;
  readonly optional?: boolean;
}

/** A volume of an object, by itself or projected. */
function sourceOf(source: Source, name: string, { items, defaultMode, optional }: SourceOptions = {}): object {
  const more = { ...(items && { items }), ...(optional && { optional }) };
  const mode = defaultMode === undefined ? {} : { defaultMode };
  if (source === "configMap") return { configMap: { name, ...more, ...mode } };
  if (source === "secret") return { secret: { secretName: name, ...more, ...mode } };
  return { projected: { sources: [{ [source.slice("projected ".length)]: { name, ...more } }], ...mode } };
}

/** Of each group; all pods at once would be slower for none, and each late. */
const concurrency = 6;

suite("volumes of pods", { skip: whyNoPods ?? false, concurrency: true }, () => {
  let node: NodeCluster;
  let api: ClusterApi;
  let allocatable: Readonly<Record<string, string>>;
  let count = 0;
  before(async () => {
    node = await startNodeCluster();
    ({ api } = node);
    const { items } = await api.call("GET", "/api/v1/nodes");
    allocatable = (items[0] as unknown as { status: { allocatable: Record<string, string> } }).status.allocatable;
    await makeObject("configMap", "shared", keys);
    await makeObject("secret", "shared", keys);
  });
  after(() => node?.close());

  const create = (path: string, body: object) => api.call("POST", path, body);
  const isConfigMap = (source: Source) => /configMap$/.test(source);
  const pathOf = (source: Source) => `${api.base}/${isConfigMap(source) ? "configmaps" : "secrets"}`;
  const dataOf = (source: Source, data: Readonly<Record<string, string>>) =>
    isConfigMap(source) ? data : Object.fromEntries(Object.entries(data).map(([name, value]) => [name, base64(value)]));
  const makeObject = (source: Source, name: string, data: Readonly<Record<string, string>>) =>
    create(pathOf(source), { metadata: { name }, data: dataOf(source, data) });
  const change = (source: Source, name: string, data: Readonly<Record<string, string>>) =>
    api.call("PATCH", `${pathOf(source)}/${name}`, { data: dataOf(source, data) }, merge);

  interface Run {
    readonly script: string;
    readonly volumes?: readonly object[];
    readonly mounts?: readonly object[];
    readonly container?: object;
    readonly spec?: object;
    readonly metadata?: object;
    /** Once it runs. */
    readonly meanwhile?: (pod: string) => Promise<unknown>;
  }
  /** The log of a pod that ended well. */
  async function run({ script, volumes, mounts, container, spec, metadata, meanwhile }: Run): Promise<string> {
    const name = `v${++count}`;
    const body = podOf(name, script, {
      container: { volumeMounts: mounts, ...container },
      spec: { volumes, ...spec },
      ...(metadata && { metadata: { name, ...metadata } }),
    });
    await create(`${api.base}/pods`, body);
    if (meanwhile) {
      await api.pod(name, (pod) => pod?.status?.phase === "Running");
      await meanwhile(name);
    }
    const pod = await api.pod(name, (one) => /Succeeded|Failed/.test(one?.status?.phase ?? ""));
    const log = await api.text(`${api.base}/pods/${name}/log?container=c`);
    assert.equal(pod.status?.phase, "Succeeded", log);
    return log;
  }
  /** One volume, `v` at /v. */
  const one = (source: object) => ({ volumes: [{ name: "v", ...source }], mounts: [{ name: "v", mountPath: "/v" }] });
  const user = { spec: { securityContext: { runAsUser: 1000 } } };
  const waitFor = (condition: string) => `until ${condition}; do busybox sleep 0.05; done`;

  suite("files of ConfigMaps and Secrets", { concurrency }, () => {
    const items = [{ key: "data-2", path: "path/to/data-2" }];
    const itemMode = [{ key: "data-2", path: "path/to/data-2", mode: 0o400 }];
    const group = { spec: { securityContext: { runAsUser: 1000, fsGroup: 1001 } } };
    const plain = { path: "data-1", said: "644 0 0\nvalue-1" };
    const mapped = { path: "path/to/data-2", said: "644 0 0\nvalue-2", options: { items } };
    const ownMode = { path: "data-1", said: "400 0 0\nvalue-1", options: { defaultMode: 0o400 } };
    const ownItem = { path: "path/to/data-2", said: "400 0 0\nvalue-2", options: { items: itemMode } };
    // The group of the volume reads what its mode says.
    const ofGroup = { path: "data-1", said: "440 0 1001\nvalue-1", options: { defaultMode: 0o440 }, more: group };
    const rows: [string, Source, { path: string; said: string; options?: SourceOptions; more?: object }][] = [
      ["ConfigMap should be consumable from pods in volume", "configMap", plain],
      ["ConfigMap should be consumable from pods in volume with defaultMode set", "configMap", ownMode],
      ["ConfigMap should be consumable from pods in volume as non-root", "configMap", { ...plain, more: user }],
      ["ConfigMap should be consumable from pods in volume with mappings", "configMap", mapped],
      ["ConfigMap should be consumable from pods in volume with mappings and Item mode set", "configMap", ownItem],
      [
        "ConfigMap should be consumable from pods in volume with mappings as non-root",
        "configMap",
        { ...mapped, more: user },
      ],
      ["Secrets should be consumable from pods in volume", "secret", plain],
      ["Secrets should be consumable from pods in volume with defaultMode set", "secret", ownMode],
      [
        "Secrets should be consumable from pods in volume as non-root with defaultMode and fsGroup set",
        "secret",
        ofGroup,
      ],
      ["Secrets should be consumable from pods in volume with mappings", "secret", mapped],
      ["Secrets should be consumable from pods in volume with mappings and Item Mode set", "secret", ownItem],
      ["Projected configMap should be consumable from pods in volume", "projected configMap", plain],
      [
        "Projected configMap should be consumable from pods in volume with defaultMode set",
        "projected configMap",
        ownMode,
      ],
      [
        "Projected configMap should be consumable from pods in volume as non-root",
        "projected configMap",
        { ...plain, more: user },
      ],
      ["Projected configMap should be consumable from pods in volume with mappings", "projected configMap", mapped],
      [
        "Projected configMap should be consumable from pods in volume with mappings and Item mode set",
        "projected configMap",
        ownItem,
      ],
      [
        "Projected configMap should be consumable from pods in volume with mappings as non-root",
        "projected configMap",
        { ...mapped, more: user },
      ],
      ["Projected secret should be consumable from pods in volume", "projected secret", plain],
      ["Projected secret should be consumable from pods in volume with defaultMode set", "projected secret", ownMode],
      [
        "Projected secret should be consumable from pods in volume as non-root with defaultMode and fsGroup set",
        "projected secret",
        ofGroup,
      ],
      ["Projected secret should be consumable from pods in volume with mappings", "projected secret", mapped],
      [
        "Projected secret should be consumable from pods in volume with mappings and Item Mode set",
        "projected secret",
        ownItem,
      ],
    ];
    for (const [behaviour, source, { path, said, options, more }] of rows)
      test(`conformance: ${behaviour}`, async () => {
        const script = `${about(`/v/${path}`)}; busybox cat /v/${path}`;
        assert.equal(await run({ script, ...one(sourceOf(source, "shared", options)), ...more }), said);
      });

    const twice: [string, Source][] = [
      ["ConfigMap should be consumable in multiple volumes in the same pod", "configMap"],
      ["Secrets should be consumable in multiple volumes in a pod", "secret"],
      ["Projected configMap should be consumable in multiple volumes in the same pod", "projected configMap"],
      ["Projected secret should be consumable in multiple volumes in a pod", "projected secret"],
    ];
    for (const [behaviour, source] of twice)
      test(`conformance: ${behaviour}`, async () => {
        const names = ["a", "b"];
        const log = await run({
          script: "busybox cat /a/data-1 /b/data-1",
          volumes: names.map((name) => ({ name, ...sourceOf(source, "shared") })),
          mounts: names.map((name) => ({ name, mountPath: `/${name}`, readOnly: true })),
        });
        assert.equal(log, "value-1value-1");
      });

    test("conformance: Secrets should be able to mount in a volume regardless of a different secret existing with same name in different namespace", async () => {
      await create("/api/v1/namespaces", { metadata: { name: "elsewhere" } });
      const data = { "data-1": base64("another") };
      await create("/api/v1/namespaces/elsewhere/secrets", { metadata: { name: "shared" }, data });
      assert.equal(await run({ script: "busybox cat /v/data-1", ...one(sourceOf("secret", "shared")) }), "value-1");
    });
    test("conformance: ConfigMap binary data should be reflected in volume", async () => {
      const binaryData = { "dump.bin": Buffer.from([0xde, 0xca, 0xfe, 0xba, 0xd0, 0xfe, 0xff]).toString("base64") };
      await create(`${api.base}/configmaps`, {
        metadata: { name: "binary" },
        data: { "data-1": "value-1" },
        binaryData,
      });
      const script = "busybox cat /v/data-1; busybox hexdump -C /v/dump.bin";
      assert.match(await run({ script, ...one(sourceOf("configMap", "binary")) }), /^value-1.*de ca fe ba d0 fe ff/);
    });
  });

  suite("changes of their sources", { concurrency }, () => {
    const updates: [string, Source][] = [
      ["ConfigMap updates should be reflected in volume", "configMap"],
      ["Projected configMap updates should be reflected in volume", "projected configMap"],
    ];
    for (const [behaviour, source] of updates)
      test(`conformance: ${behaviour}`, async () => {
        const name = `changing-${source.replace(" ", "-").toLowerCase()}`;
        await makeObject(source, name, { "data-1": "value-1" });
        const script = `busybox cat /v/data-1; ${waitFor('[ "$(busybox cat /v/data-1)" = value-2 ]')}; echo -n value-2`;
        const meanwhile = () => change(source, name, { "data-1": "value-2" });
        assert.equal(await run({ script, ...one(sourceOf(source, name)), meanwhile }), "value-1value-2");
      });

    const optional: [string, Source][] = [
      ["ConfigMap optional updates should be reflected in volume", "configMap"],
      ["Secrets optional updates should be reflected in volume", "secret"],
      ["Projected configMap optional updates should be reflected in volume", "projected configMap"],
      ["Projected secret optional updates should be reflected in volume", "projected secret"],
    ];
    for (const [behaviour, source] of optional)
      test(`conformance: ${behaviour}`, async () => {
        const names = ["deleted", "updated", "created"] as const;
        const nameOf = (which: string) => `${which}-${source.replace(" ", "-").toLowerCase()}`;
        for (const which of ["deleted", "updated"]) await makeObject(source, nameOf(which), { "data-1": "value-1" });
        const items = [
          { key: "data-3", path: "path/to/data-3" },
          { key: "data-1", path: "data-1" },
        ];
        const log = await run({
          script: [
            "busybox cat /deleted/data-1",
            waitFor("[ ! -e /deleted/data-1 ]"),
            waitFor('[ "$(busybox cat /updated/path/to/data-3 2> /dev/null)" = value-3 ]'),
            waitFor('[ "$(busybox cat /created/data-1 2> /dev/null)" = value-1 ]'),
            "[ ! -e /updated/data-1 ]",
          ].join(" && "),
          volumes: names.map((which) => ({
            name: which,
            ...sourceOf(source, nameOf(which), { optional: true, ...(which === "updated" && { items }) }),
          })),
          mounts: names.map((which) => ({ name: which, mountPath: `/${which}`, readOnly: true })),
          async meanwhile() {
            await api.call("DELETE", `${pathOf(source)}/${nameOf("deleted")}`);
            const data = { ...dataOf(source, { "data-3": "value-3" }), "data-1": null };
            await api.call("PATCH", `${pathOf(source)}/${nameOf("updated")}`, { data }, merge);
            await makeObject(source, nameOf("created"), { "data-1": "value-1" });
          },
        });
        assert.equal(log, "value-1");
      });
  });

  suite("the downward API", { concurrency }, () => {
    const limits = { cpu: "1250m", memory: "64Mi" };
    const resources = { resources: { limits, requests: { cpu: "250m", memory: "32Mi" } } };
    const field = (fieldPath: string, mode?: number) => [
      { path: "f", fieldRef: { fieldPath }, ...(mode !== undefined && { mode }) },
    ];
    const resource = (name: string) => [{ path: "f", resourceFieldRef: { containerName: "c", resource: name } }];
    const alone = (items: object[], more: object = {}) => ({ downwardAPI: { items, ...more } });
    const projected = (items: object[], more: object = {}) => ({
      projected: { sources: [{ downwardAPI: { items } }], ...more },
    });
    const cores = () => String(Math.ceil(Number(allocatable.cpu)));
    const bytes = () => String(Number(/^\d+/.exec(allocatable.memory ?? "")?.[0]) * 1024);
    interface Row {
      readonly items: object[];
      readonly said: string | (() => string);
      readonly mode?: number;
      readonly container?: object;
    }
    const rows: [string, string, Row][] = [
      [
        "Downward API volume should provide podname only",
        "Projected downwardAPI should provide podname only",
        { items: field("metadata.name"), said: "644 NAME" },
      ],
      [
        "Downward API volume should set DefaultMode on files",
        "Projected downwardAPI should set DefaultMode on files",
        { items: field("metadata.name"), mode: 0o400, said: "400 NAME" },
      ],
      [
        "Downward API volume should set mode on item file",
        "Projected downwardAPI should set mode on item file",
        { items: field("metadata.name", 0o440), said: "440 NAME" },
      ],
      [
        "Downward API volume should provide container's cpu limit",
        "Projected downwardAPI should provide container's cpu limit",
        { items: resource("limits.cpu"), container: resources, said: "644 2" },
      ],
      [
        "Downward API volume should provide container's memory limit",
        "Projected downwardAPI should provide container's memory limit",
        { items: resource("limits.memory"), container: resources, said: "644 67108864" },
      ],
      [
        "Downward API volume should provide container's cpu request",
        "Projected downwardAPI should provide container's cpu request",
        { items: resource("requests.cpu"), container: resources, said: "644 1" },
      ],
      [
        "Downward API volume should provide container's memory request",
        "Projected downwardAPI should provide container's memory request",
        { items: resource("requests.memory"), container: resources, said: "644 33554432" },
      ],
      [
        "Downward API volume should provide node allocatable (cpu) as default cpu limit if the limit is not set",
        "Projected downwardAPI should provide node allocatable (cpu) as default cpu limit if the limit is not set",
        { items: resource("limits.cpu"), said: () => `644 ${cores()}` },
      ],
      [
        "Downward API volume should provide node allocatable (memory) as default memory limit if the limit is not set",
        "Projected downwardAPI should provide node allocatable (memory) as default memory limit if the limit is not set",
        { items: resource("limits.memory"), said: () => `644 ${bytes()}` },
      ],
    ];
    for (const [plain, inProjected, { items, said, mode, container }] of rows)
      for (const [behaviour, source] of [
        [plain, alone],
        [inProjected, projected],
      ] as const)
        test(`conformance: ${behaviour}`, async () => {
          const more = mode === undefined ? {} : { defaultMode: mode };
          const script = `echo "$(busybox stat -L -c %a /v/f) $(busybox cat /v/f) $(busybox hostname)"`;
          const [seenMode, text, name = ""] = (
            await run({ script, ...one(source(items, more)), ...(container && { container }) })
          ).split(/\s+/);
          const expected = typeof said === "string" ? said.replace("NAME", name) : said();
          assert.equal(`${seenMode} ${text}`, expected);
        });

    const changing: [string, (items: object[]) => object, "labels" | "annotations"][] = [
      ["Downward API volume should update labels on modification", alone, "labels"],
      ["Downward API volume should update annotations on modification", alone, "annotations"],
      ["Projected downwardAPI should update labels on modification", projected, "labels"],
      ["Projected downwardAPI should update annotations on modification", projected, "annotations"],
    ];
    for (const [behaviour, source, what] of changing)
      test(`conformance: ${behaviour}`, async () => {
        const key2 = what === "labels" ? "value2" : 'a "quoted" one';
        const log = await run({
          script: `busybox cat /v/f; echo; ${waitFor("busybox grep -q key3 /v/f")}; busybox cat /v/f`,
          ...one(source(field(`metadata.${what}`))),
          metadata: { [what]: { key1: "value1", key2 } },
          meanwhile: (name) =>
            api.call("PATCH", `${api.base}/pods/${name}`, { metadata: { [what]: { key3: "value3" } } }, merge),
        });
        const first = `key1="value1"\nkey2=${JSON.stringify(key2)}`;
        const ours = log.split("\n").filter((line) => line.startsWith("key"));
        assert.equal(ours.join("\n"), `${first}\n${first}\nkey3="value3"`);
      });
  });

  suite("emptyDir", { concurrency }, () => {
    const medium = { default: {}, tmpfs: { medium: "Memory" } } as const;
    const files = [
      "EmptyDir volumes should support (root,0644,default)",
      "EmptyDir volumes should support (root,0666,default)",
      "EmptyDir volumes should support (root,0777,default)",
      "EmptyDir volumes should support (root,0644,tmpfs)",
      "EmptyDir volumes should support (root,0666,tmpfs)",
      "EmptyDir volumes should support (root,0777,tmpfs)",
      "EmptyDir volumes should support (non-root,0644,default)",
      "EmptyDir volumes should support (non-root,0666,default)",
      "EmptyDir volumes should support (non-root,0777,default)",
      "EmptyDir volumes should support (non-root,0644,tmpfs)",
      "EmptyDir volumes should support (non-root,0666,tmpfs)",
      "EmptyDir volumes should support (non-root,0777,tmpfs)",
    ];
    for (const behaviour of files) {
      const [, who, mode = "", where = "default"] = /\((.*),0(\d+),(.*)\)/.exec(behaviour) ?? [];
      test(`conformance: ${behaviour}`, async () => {
        const script = `set -e; echo content > /v/f; busybox chmod ${mode} /v/f; ${about("/v/f")}; busybox cat /v/f; busybox stat -f -c %T /v`;
        const [seen, content, system] = (
          await run({
            script,
            ...one({ emptyDir: medium[where as keyof typeof medium] }), // as written above
            ...(who === "non-root" && user),
          })
        ).split("\n");
        assert.deepEqual([seen, content], [`${mode} ${who === "root" ? "0" : "1000"} 0`, "content"]);
        assert.equal(system === "tmpfs", where === "tmpfs", String(system));
      });
    }
    const modes: [string, object, string][] = [
      ["EmptyDir volumes volume on default medium should have the correct mode", medium.default, "777 0 0\n"],
      ["EmptyDir volumes volume on tmpfs should have the correct mode", medium.tmpfs, "1777 0 0\n"],
    ];
    for (const [behaviour, emptyDir, said] of modes)
      test(`conformance: ${behaviour}`, async () => {
        assert.equal(await run({ script: about("/v"), ...one({ emptyDir }) }), said);
      });
    test("conformance: EmptyDir volumes pod should support shared volumes between containers", async () => {
      const { volumes, mounts } = one({ emptyDir: {} });
      const reader = containerOf("c", `${waitFor("[ -s /v/f ]")}; busybox cat /v/f`, { volumeMounts: mounts });
      const writer = containerOf("w", "echo hello > /v/g; busybox mv /v/g /v/f", { volumeMounts: mounts });
      assert.equal(await run({ script: "", volumes, spec: { volumes, containers: [reader, writer] } }), "hello\n");
    });
    test("conformance: EmptyDir wrapper volumes should not conflict", async () => {
      const names = ["secret", "configMap"] as const;
      const log = await run({
        script: "busybox cat /secret/data-1 /configMap/data-1",
        volumes: names.map((name) => ({ name: name.toLowerCase(), ...sourceOf(name, "shared") })),
        mounts: names.map((name) => ({ name: name.toLowerCase(), mountPath: `/${name}` })),
      });
      assert.equal(log, "value-1value-1");
    });
    test("conformance: EmptyDir wrapper volumes should not cause race condition when used for configmaps", async () => {
      const names = Array.from({ length: 50 }, (_, at) => `racing-${at}`);
      await Promise.all(names.map((name) => makeObject("configMap", name, { "data-1": name })));
      const pods = Array.from({ length: 3 }, () =>
        run({
          script: "busybox cat /racing-*/data-1 | busybox wc -c",
          volumes: names.map((name) => ({ name, ...sourceOf("configMap", name) })),
          mounts: names.map((name) => ({ name, mountPath: `/${name}` })),
        }),
      );
      const length = names.join("").length;
      for (const log of await Promise.all(pods)) assert.equal(log, `${length}\n`);
    });
  });

  suite("projected together, and parts", { concurrency }, () => {
    test("conformance: Projected combined should project all components that make up the projection API", async () => {
      const fieldRef = { fieldPath: "metadata.name" };
      const sources = [
        { secret: { name: "shared", items: [{ key: "data-1", path: "all/secret" }] } },
        { configMap: { name: "shared", items: [{ key: "data-2", path: "all/config" }] } },
        { downwardAPI: { items: [{ path: "all/name", fieldRef }] } },
        { serviceAccountToken: { path: "token", audience: "test" } },
      ];
      const script =
        "busybox cat /v/all/secret /v/all/config /v/all/name; echo; busybox hostname; busybox cat /v/token";
      const [first, name, token = ""] = (await run({ script, ...one({ projected: { sources } }) })).split("\n");
      assert.equal(first, `value-1value-2${name}`);
      assert.match(Buffer.from(token.split(".")[1] ?? "", "base64url").toString(), /"aud":\["test"\]/);
    });
    const name = { items: [{ path: "data-1", fieldRef: { fieldPath: "metadata.namespace" } }] };
    const parts: [string, object, { mountPath?: string; said?: string }][] = [
      ["Subpath Atomic writer volumes should support subpaths with configmap pod", sourceOf("configMap", "shared"), {}],
      [
        "Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of existing file",
        sourceOf("configMap", "shared"),
        { mountPath: "/etc/resolv.conf" },
      ],
      ["Subpath Atomic writer volumes should support subpaths with secret pod", sourceOf("secret", "shared"), {}],
      [
        "Subpath Atomic writer volumes should support subpaths with projected pod",
        sourceOf("projected configMap", "shared"),
        {},
      ],
      [
        "Subpath Atomic writer volumes should support subpaths with downward pod",
        { downwardAPI: name },
        { said: "default" },
      ],
    ];
    for (const [behaviour, source, { mountPath = "/part/file", said = "value-1" }] of parts)
      test(`conformance: ${behaviour}`, async () => {
        const log = await run({
          script: `busybox cat ${mountPath}; ! echo x 2> /dev/null > ${mountPath}`,
          volumes: [{ name: "v", ...source }],
          mounts: [{ name: "v", mountPath, subPath: "data-1" }],
        });
        assert.match(log, new RegExp(`^${said}`));
      });
  });
});
