/** Images of a real Ceph in real containers: the storage that Kubernetes was shown with first. `npm run test:ceph` sets everything up. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";
import { startCeph, type TestCeph, whyNoCeph } from "./ceph.ts";

const image = "demo/busybox:1";
const why =
  process.env.SAMPAN_TEST_GROUP === "ceph"
    ? (whyNoCluster() ?? whyNoCeph() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static"))
    : "runs with `npm run test:ceph`";

suite("RBD volumes on a real Ceph", { skip: why ?? false, timeout: 300_000 }, () => {
  let cluster: TestCluster;
  let ceph: TestCeph;
  let key: string;
  let settings: string;
  let network: number;
  let inNetwork: string[];
  let flags: string[];
  const kubectl = (line: string) => cluster.kubectl(...line.split(" "));
  const apply = (object: object) => cluster.kubectlInput(JSON.stringify(object), "apply");
  const source = (name: string) => ({
    monitors: [ceph.monitor],
    pool: "rbd",
    image: name,
    user: "kube",
    secretRef: { name: "ceph" },
  });
  const pod = (name: string, volume: object, { command = "sleep 3600", spec = {} } = {}) =>
    apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: "c",
            image,
            imagePullPolicy: "IfNotPresent",
            command: ["/bin/sh", "-c", `trap exit TERM; ${command} & wait`],
            volumeMounts: [{ name: "v", mountPath: "/v" }],
          },
        ],
        volumes: [{ name: "v", ...volume }],
        ...spec,
      },
    });
  const running = (name: string) => kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`);
  const inside = (name: string, command: string) => cluster.kubectl("exec", name, "--", "/bin/sh", "-c", command);
  const remove = (...names: string[]) => kubectl(`delete pod ${names.join(" ")} --timeout=60s`);
  const refusal = (name: string) =>
    cluster.until(async () => {
      const said = await kubectl(`get events --field-selector=involvedObject.name=${name},reason=FailedMount -o json`);
      const { items } = JSON.parse(said) as { items: { message: string }[] }; // events
      return items.at(-1)?.message;
    }, `an event about ${name}`);
  /** What the node holds of images; empty when it has let all go. */
  async function held(): Promise<string[]> {
    const mounts = (await cluster.run("cat", "/proc/mounts")).split("\n");
    const processes = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).split("\n");
    const loops = readdirSync("/sys/block").flatMap((name) => {
      const file = `/sys/block/${name}/loop/backing_file`;
      return existsSync(file) ? [readFileSync(file, "utf8").trim()] : [];
    });
    const isOurs = (line: string) => line.includes(cluster.dataDir) && line.includes("kubernetes.io");
    const volumes = mounts.filter((line) => /rbd/.test(line) && !line.includes("rbd/state"));
    return [...volumes, ...processes.filter((line) => line.startsWith("rbd-")), ...loops].filter(isOurs);
  }
  const locks = async (name: string) =>
    JSON.parse(await ceph.rbd("lock", "list", name, "--format=json")) as { id: string }[];
  const create = (name: string) => ceph.rbd("create", name, "--size=64", "--image-feature=layering");

  before(async () => {
    settings = mkdtempSync(path.join(tmpdir(), "sampan-ceph-node-"));
    // Whatever else fills this machine's disk isn't what is looked at here.
    const node = {
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      evictionHard: { "memory.available": "1Mi" },
    };
    writeFileSync(path.join(settings, "kubelet.json"), JSON.stringify(node));
    flags = ["--kubelet-config", path.join(settings, "kubelet.json")];
    cluster = await startTestCluster(...flags);
    // Which is there also while the cluster isn't.
    network = openSync(`/proc/${cluster.process.pid}/ns/net`, "r");
    inNetwork = ["nsenter", `--net=/proc/${process.pid}/fd/${network}`];
    ceph = await startCeph(inNetwork);
    key = await ceph.addUser("kube", "rbd");
    const files = ["/bin/busybox:/bin/busybox", "/bin/busybox:/bin/sh"].flatMap((file) => ["--file", file]);
    await cluster.sampan("image", "pack", image, ...files);
    await apply({ apiVersion: "v1", kind: "Secret", metadata: { name: "ceph" }, stringData: { key } });
  });
  after(async () => {
    await cluster?.close();
    await ceph?.close();
    if (network) closeSync(network);
    rmSync(settings, { recursive: true, force: true });
  });

  test("an image: written in one pod, read in another after the first has gone", async () => {
    await create("a");
    await pod("writer", { rbd: source("a") }, { spec: { securityContext: { fsGroup: 1234 } } });
    await running("writer");
    assert.match(await inside("writer", "busybox mount"), /\/dev\/\S+ on \/v type ext4 \(rw/);
    assert.match(await inside("writer", "busybox stat -c %g /v"), /^1234$/m);
    await inside("writer", "echo from the first > /v/file");
    assert.deepEqual(
      (await locks("a")).map(({ id }) => id.replace(/_[^_]*$/, "")),
      ["kubelet_lock_magic"],
    );
    const everything = execFileSync("ps", ["axeww", "-o", "args"], { encoding: "utf8", maxBuffer: 2 ** 26 });
    assert.ok(!everything.includes(key), "the key is on no command line and in no environment");
    assert.ok(!cluster.log().includes(key), "nor in the log");
    await remove("writer");
    assert.deepEqual([await held(), await locks("a")], [[], []]);

    await pod("reader", { rbd: source("a") });
    await running("reader");
    assert.equal(await inside("reader", "busybox cat /v/file"), "from the first\n");
    await remove("reader");
  });

  test("a second writer: refused, with an event, until the image is free", async () => {
    await create("b");
    await ceph.rbd("lock", "add", "b", "somebody");
    await pod("late", { rbd: source("b") });
    assert.match(
      await refusal("late"),
      /^MountVolume\.WaitForAttach failed for volume "v" : rbd: image b is locked by other nodes$/,
    );
    const [lock] = JSON.parse(await ceph.rbd("lock", "list", "b", "--format=json")) as { locker: string }[];
    await ceph.rbd("lock", "remove", "b", "somebody", lock?.locker ?? "");
    await running("late");
    await remove("late");
    // A node of later releases, which doesn't lock but watches.
    const [nsenter = "", into = ""] = inNetwork;
    const watcher = spawn(nsenter, [into, "rbd", "watch", "b"], {
      env: { ...process.env, CEPH_CONF: `${ceph.directory}/ceph.conf` },
      stdio: ["pipe", "pipe", "ignore"],
    });
    await once(watcher.stdout, "data");
    await pod("later", { rbd: source("b") });
    assert.match(await refusal("later"), /: rbd image rbd\/b is still being used$/);
    const ended = once(watcher, "exit");
    watcher.stdin.end("\n");
    await ended;
    await running("later");
    await remove("later");
    assert.deepEqual([await held(), await locks("b")], [[], []]);
  });

  test("a node that died: its lock holds nobody up once its watch is over", async () => {
    await ceph.rbd("lock", "add", "b", "kubelet_lock_magic_gone");
    await pod("heir", { rbd: source("b") });
    await running("heir");
    assert.deepEqual(
      (await locks("b")).map(({ id }) => id.endsWith("_gone")),
      [false],
    );
    await remove("heir");
    assert.deepEqual([await held(), await locks("b")], [[], []]);
  });

  test("readers: as many as want share an image, and none of them writes", async () => {
    const readers = ["r1", "r2"];
    for (const name of readers) await pod(name, { rbd: { ...source("a"), readOnly: true } });
    for (const name of readers) {
      await running(name);
      assert.equal(await inside(name, "busybox cat /v/file"), "from the first\n");
      await assert.rejects(inside(name, "echo x > /v/x"), /Read-only file system/);
    }
    assert.equal((await held()).filter((line) => line.startsWith("rbd-fuse -p")).length <= 1, true);
    await remove(...readers);
    assert.deepEqual([await held(), await locks("a")], [[], []]);
  });

  test("what can't be had: no image, no secret, a wrong key, names that would be options", async () => {
    for (const [name, rbd, expected] of [
      ["no-image", source("nowhere"), /error opening image nowhere: \(2\) No such file or directory/],
      ["no-secret", { ...source("a"), secretRef: { name: "none" } }, /couldn't get secret default\/none err: /],
      ["option", { ...source("a"), user: "kube --log_file=/tmp/x" }, /rbd: invalid user "kube --log_file=\/tmp\/x"/],
    ] as const) {
      await pod(name, { rbd });
      assert.match(await refusal(name), expected);
      await remove(name);
    }
    assert.deepEqual(await held(), []);
  });

  test("a class: images made, enlarged and removed for claims", async () => {
    const secret = (name: string, text: string) =>
      apply({
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/rbd",
        metadata: { name },
        stringData: { key: text },
      });
    await secret("admin", ceph.key);
    await apply({
      apiVersion: "storage.k8s.io/v1",
      kind: "StorageClass",
      metadata: { name: "ceph" },
      provisioner: "kubernetes.io/rbd",
      allowVolumeExpansion: true,
      parameters: {
        monitors: ceph.monitor,
        adminSecretName: "admin",
        adminSecretNamespace: "default",
        userId: "kube",
        userSecretName: "ceph",
        imageFeatures: "layering",
      },
    });
    const claim = (storage: string) =>
      apply({
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: "data" },
        spec: { storageClassName: "ceph", accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } },
      });
    await claim("64Mi");
    await kubectl("wait --for=jsonpath={.status.phase}=Bound pvc/data --timeout=60s");
    const volume = await kubectl("get pvc data -o jsonpath={.spec.volumeName}");
    const made = await kubectl(`get pv ${volume} -o jsonpath={.spec.rbd.image}`);
    assert.match(made, /^kubernetes-dynamic-pvc-/);
    assert.equal(await ceph.rbd("ls"), ["a", "b", made].join("\n"));
    const use = { persistentVolumeClaim: { claimName: "data" } };
    await pod("grows", use);
    await running("grows");
    await inside("grows", "echo kept > /v/file");
    await remove("grows");
    await claim("128Mi");
    await kubectl("wait --for=jsonpath={.status.conditions[0].type}=FileSystemResizePending pvc/data --timeout=60s");
    await pod("grown", use);
    await running("grown");
    const [kibibytes = 0] =
      (await inside("grown", "busybox df -k /v | busybox tail -1")).match(/\d{4,}/)?.map(Number) ?? [];
    assert.ok(kibibytes > 100_000, `${kibibytes}`);
    assert.equal(await inside("grown", "busybox cat /v/file"), "kept\n");
    assert.equal(await kubectl("get pvc data -o jsonpath={.status.capacity.storage}"), "128Mi");
    await remove("grown");
    await kubectl("delete pvc data --timeout=60s");
    await kubectl(`wait --for=delete pv/${volume} --timeout=60s`);
    assert.equal(await ceph.rbd("ls"), "a\nb");
    assert.deepEqual(await held(), []);
  });

  test("kill -9: the image stays where it is, and is let go by who comes after", async () => {
    await pod("lives", { rbd: source("a") });
    await running("lives");
    await inside("lives", "echo before > /v/life");
    await cluster.stop("SIGKILL");
    assert.notDeepEqual(await held(), []);
    await cluster.start(...flags);
    await running("lives");
    assert.equal(await inside("lives", "echo after >> /v/life; busybox cat /v/life"), "before\nafter\n");
    await remove("lives");
    assert.deepEqual([await held(), await locks("a")], [[], []]);
  });

  test("down: nothing is held any more, not even a lock", async () => {
    await pod("last", { rbd: source("a") });
    await running("last");
    // Its network is needed by Ceph.
    await cluster.stop("SIGTERM");
    await cluster.sampan("down");
    assert.deepEqual([await held(), await locks("a")], [[], []]);
  });
});
