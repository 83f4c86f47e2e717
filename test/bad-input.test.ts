/**
 * What people do wrong and what machines lack, with the real program: every failure is one message that says what was tried, found and
 * expected, with an exit code; none is a stack, and nothing is lost.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, suite, test } from "node:test";
import { fillDisk, startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");
const program = path.resolve(import.meta.dirname, "../dist/sampan.js");
const cniFolders = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
/** Of the API server alone, beside the cluster's. */
const otherPort = 7443;

interface Failure {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

suite("bad input", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster();
    await cluster.sampan(
      "image",
      "pack",
      image,
      "--file",
      "/bin/busybox:/bin/busybox",
      "--file",
      "/bin/busybox:/bin/sh",
    );
  });
  after(() => cluster?.close());

  const at = (name: string) => path.join(cluster.directory, name);
  async function fails(running: Promise<string>): Promise<Failure> {
    const out = await running.catch((error: Failure) => error); // execFile rejects with these
    if (typeof out === "string") assert.fail(`it succeeded: ${out}`);
    return out;
  }
  /** Runs `sampan …`, which must fail with this code, without a stack, and say this. */
  async function refused(args: readonly string[], expected: { code?: number; says: RegExp; wrap?: readonly string[] }) {
    const { code, stderr } = await fails(cluster.run(...(expected.wrap ?? []), process.execPath, program, ...args));
    assert.match(stderr, expected.says);
    assert.equal(code, expected.code ?? 1, stderr);
    assert.doesNotMatch(stderr, /^ +at /m, "no stack");
    return stderr;
  }
  const file = (name: string, text: string) => {
    writeFileSync(at(name), text);
    return at(name);
  };

  test("flags, environment and configuration file: refused before anything is started", async () => {
    const nowhere = ["--data-dir", at("nowhere")];
    const env = (assignment: string) => ({ wrap: ["env", assignment] });
    let files = 0;
    const yaml = (text: string) => ["up", "--config", file(`${++files}-config.yaml`, text)];
    const usage: [string[], RegExp, { wrap?: string[]; code?: number }?][] = [
      [["up", "--bogus"], /^sampan up: unknown flag: --bogus$/m],
      [["up", "web"], /want flags only, have "web"/],
      [["up", "--secure-port"], /flag needs a value: --secure-port/],
      [["nonsense"], /unknown command "nonsense"/],
      [
        ["up", ...nowhere],
        /SAMPAN_SECURE_PORT: want a whole number from 1 to 65535, have "abc"/,
        env("SAMPAN_SECURE_PORT=abc"),
      ],
      [["up", ...nowhere], /SAMPAN_LOG_LEVEL: "loud" is not one of debug, info/, env("SAMPAN_LOG_LEVEL=loud")],
      [["up", ...nowhere, "--cluster-cidr", "10.0.0.0/28"], /--cluster-cidr "10.0.0.0\/28": want an IPv4 range/],
      [["up", ...nowhere, "--cluster-cidr", "10.96.0.0/16"], /overlap/],
      [["up", ...nowhere, "--service-cidr", "abc"], /--service-cidr "abc": want an IPv4 range/],
      [["up", ...nowhere, "--node-ip", "192.0.2.9"], /--node-ip "192.0.2.9": want an address of this machine/],
      [["up", ...nowhere, "--node-name", "A_b"], /--node-name "A_b": want lower case letters/],
      [["apiserver", ...nowhere, "--service-cidr", "10.0.0.0/33"], /--service-cidr "10.0.0.0\/33"/],
      [["apiserver", ...nowhere, "--bind-address", "here"], /--bind-address "here": want an IP address/],
      [yaml("secure-port: ["), /config.yaml is no YAML: .*line 1/],
      [yaml("secure-prot: 1"), /config.yaml: unknown key "secure-prot"; did you mean --secure-port\?/],
      [yaml("data-dir: [a, b]"), /config.yaml: data-dir: want one plain value/],
      [yaml("- a"), /config.yaml: want a map of flags/],
      [["up", "--config", "/nope"], /cannot read the configuration file \/nope: ENOENT/, { code: 1 }],
      [["up", "--config", "/tmp"], /cannot read the configuration file \/tmp: EISDIR/, { code: 1 }],
    ];
    for (const [args, says, more] of usage) await refused(args, { code: 2, says, ...more });
    assert.equal(existsSync(at("nowhere")), false);
  });

  test("machine: what is missing is said with the command that mends it", async () => {
    const up = ["up", "--data-dir", at("nowhere"), "--secure-port", String(otherPort)];
    const script = (lines: string) => ["unshare", "--mount", "sh", "-c", `${lines}; exec "$@"`, "sh"];
    const hide = cniFolders.map((folder) => `[ ! -d ${folder} ] || mount -t tmpfs none ${folder}`).join("; ");
    const broken = file("containerd", "#!/bin/sh\necho containerd: exec format error >&2; exit 126\n");
    const path_ = (folders: string) => ["env", `PATH=${folders}:/usr/sbin:/sbin`];
    await refused(up, {
      says: /CNI plugins +missing bridge.*\n.*apt-get install -y containernetworking-plugins/,
      wrap: script(hide),
    });
    await refused(up, { says: /containerd +missing.*\n.*apt-get install -y containerd/, wrap: path_("/nowhere") });
    await cluster.run("chmod", "755", broken);
    await refused(up, { says: /does not run: .*exec format error/, wrap: path_(cluster.directory) });
    // The root of another user can't be read: as nobody, from a copy that everybody may.
    const open = at("program");
    cpSync(path.dirname(program), open, { recursive: true });
    await cluster.run("chmod", "755", cluster.directory);
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const asNobody = (...args: string[]) =>
      cluster.run(...nobody, process.execPath, path.join(open, "sampan.js"), ...args);
    const { stderr } = await fails(asNobody(...up));
    assert.match(stderr, /user +uid 65534; needed: root\n.*sudo/);
    const down = await fails(asNobody("down", "--data-dir", cluster.dataDir));
    assert.match(down.stderr, /EACCES: permission denied.*sampan.pid': this user may not; run it with sudo/);
    await refused(["up", "--data-dir", "/etc/hostname", "--secure-port", String(otherPort)], {
      says: /ENOTDIR.*a file where a folder/,
    });
    assert.equal(existsSync(at("nowhere")), false);
  });

  test("containerd: one that ends at its start is quoted, and down cleans up after it", async () => {
    mkdirSync(at("bin"));
    writeFileSync(
      at("bin/containerd"),
      "#!/bin/sh\n[ $1 = --version ] && echo containerd x 1.7.0 x && exit\necho 'failed to load plugin: kaput'; exit 3\n",
      { mode: 0o755 },
    );
    const nested = [
      "unshare",
      "--net",
      "sh",
      "-c",
      'ip link set lo up; "$@"',
      "sh",
      "env",
      `PATH=${at("bin")}:${process.env.PATH}`,
    ];
    const data = ["--data-dir", at("short")];
    await refused(["up", ...data], {
      says: /kubelet: containerd ended with code 3; its log .*\n.*kaput/,
      wrap: nested,
    });
    await cluster.run(process.execPath, program, "down", "--purge", ...data);
    assert.equal(existsSync(at("short")), false);
  });

  test("ports: who holds one is said, by program and process", async () => {
    const pid = cluster.process.pid;
    const taken = new RegExp(`port 6443 .*held by .* \\(pid ${pid}\\)`);
    await refused(["up", "--data-dir", at("nowhere")], { says: taken });
    await refused(["apiserver", "--data-dir", at("nowhere"), "--secure-port", "6443"], {
      says: new RegExp(`pid ${pid}`),
    });
    await refused(
      ["apiserver", "--data-dir", at("other"), "--bind-address", "192.0.2.9", "--secure-port", String(otherPort)],
      {
        says: /no interface of this machine has the address 192.0.2.9/,
      },
    );
  });

  test("data folder: a second process is refused, whatever became of the pid file", async () => {
    const pidFile = path.join(cluster.dataDir, "sampan.pid");
    const content = readFileSync(pidFile, "utf8");
    const up = ["up", "--data-dir", cluster.dataDir, "--secure-port", String(otherPort)];
    const { pid } = cluster.process;
    await refused(up, {
      says: new RegExp(`a sampan \\(pid ${pid}\\) runs with this data folder already, on port 6443`),
    });
    await refused(["apiserver", ...up.slice(1)], { says: new RegExp(`in use by process ${pid} .*sampan down`) });
    rmSync(pidFile);
    await refused(up, { says: new RegExp(`a sampan \\(pid ${pid}\\) runs with this data folder already; `) });
    writeFileSync(pidFile, "{\0\0");
    await refused(up, { says: /sampan.pid is damaged .*`sampan down`/ });
    await refused(["status", "--data-dir", cluster.dataDir], { says: /sampan.pid is damaged .*`sampan down`/ });
    writeFileSync(pidFile, content);
    assert.match(await cluster.sampan("status"), new RegExp(`${pid}`));
  });

  test("data folder: damage and newer formats are named, and nothing is overwritten", async () => {
    const good = at("good");
    await serveOnce(good);
    const store = (folder: string) => path.join(folder, "store/state.db");
    const cases: [name: string, damage: (folder: string) => void, says: RegExp][] = [
      ["cut off", (folder) => truncateSync(store(folder), 8192 * 3), /state.db is damaged \(.*restore it from a copy/],
      ["overwritten", (folder) => writeFileSync(store(folder), "x".repeat(20_000)), /state.db is damaged/],
      [
        "newer",
        (folder) => newerFormat(store(folder)),
        /has store format 99, this version supports up to 1: start the version/,
      ],
      ["a folder", (folder) => folderFor(store(folder)), /EISDIR: .*a folder where a file is expected/],
      ["no authority", (folder) => truncateSync(path.join(folder, "pki/ca.crt")), /pki\/ca.crt is damaged .*restore/],
      [
        "certificate",
        (folder) => writeFileSync(path.join(folder, "pki/apiserver.crt"), "x"),
        /apiserver.crt is damaged .*remove it/,
      ],
      ["key", (folder) => truncateSync(path.join(folder, "pki/sa.key"), 99), /pki\/sa.key is damaged/],
    ];
    for (const [name, damage, says] of cases) {
      const folder = at(name.replace(" ", "-"));
      cpSync(good, folder, { recursive: true });
      damage(folder);
      await refused(["apiserver", "--data-dir", folder, "--secure-port", String(otherPort)], { says });
      await refused(["up", "--data-dir", folder, "--secure-port", String(otherPort)], {
        says,
        wrap: ["unshare", "--net"],
      });
      assert.match(await cluster.run(process.execPath, program, "down", "--data-dir", folder), /^down/);
    }
  });

  /** Starts the API server in this folder and ends it when it serves. */
  async function serveOnce(folder: string): Promise<void> {
    const script = `"$@" > ${at("serve.log")} & pid=$!; until grep -q serving ${at("serve.log")}; do kill -0 $pid || exit 1; sleep 0.02; done; kill $pid; wait $pid`;
    await cluster.run(
      "sh",
      "-c",
      script,
      "sh",
      process.execPath,
      program,
      "apiserver",
      "--data-dir",
      folder,
      "--secure-port",
      String(otherPort),
    );
  }

  test("kubectl: malformed manifests, unknown fields as asked, wrong types", async () => {
    const map = (more: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n${more}`;
    const create = async (text: string, ...flags: string[]) =>
      cluster.run(
        "sh",
        "-c",
        'kubectl create -f "$1" "$2" --dry-run=server 2>&1',
        "sh",
        file("m.yaml", text),
        flags[0] ?? "--validate=strict",
      );
    const said = async (text: string, flag?: string) => (await fails(create(text, ...(flag ? [flag] : [])))).stdout;
    assert.match(await said("a: [b"), /error parsing .*m.yaml: .*(yaml|flow sequence)/i);
    assert.match(await said(map("colour: red")), /strict decoding error: unknown field "colour"/);
    assert.match(await said(map("data: {a: 1}")), /data.*(string|number)/);
    assert.match(await said("apiVersion: v1\nkind: Nonsense\nmetadata: {name: m}\n"), /no matches for kind "Nonsense"/);
    assert.match(await said(map("data: {a: x}").replace("name: m", "name: M_")), /a lowercase RFC 1123 subdomain/);
    assert.match(
      await create(map("colour: red"), "--validate=warn"),
      /Warning: unknown field "colour"\n+configmap\/m created/,
    );
    assert.doesNotMatch(await create(map("colour: red"), "--validate=ignore"), /Warning/);
  });

  interface PodStatus {
    status: {
      containerStatuses?: {
        restartCount: number;
        state: { waiting?: { reason: string; message?: string } };
        lastState: { terminated?: { exitCode: number; reason: string } };
      }[];
    };
  }

  test("pods: an image that can't be had and a container that ends are said with the reason", async () => {
    const pod = (name: string, container: object) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: "c", imagePullPolicy: "IfNotPresent", ...container }],
      },
    });
    const items = [
      pod("unpulled", { image: "registry.invalid/nothing:1" }),
      pod("never", { image: "registry.invalid/nothing:2", imagePullPolicy: "Never" }),
      pod("misnamed", { image: "Not An Image" }),
      pod("ends", { image, command: ["/bin/sh", "-c", "echo going; exit 7"] }),
      pod("nothing", { image, command: ["/no/such/program"] }),
    ];
    await cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items }), "create");
    const waiting = (name: string, reason: string) =>
      cluster.until(
        async () => {
          const found = JSON.parse(await cluster.kubectl("get", "pod", name, "-o", "json")) as PodStatus;
          const [container] = found.status.containerStatuses ?? [];
          return container?.state.waiting?.reason === reason ? container : undefined;
        },
        `${name} is ${reason}`,
        30_000,
      );
    const unpulled = await waiting("unpulled", "ImagePullBackOff");
    assert.match(
      unpulled.state.waiting?.message ?? "",
      /^Back-off pulling image "registry.invalid\/nothing:1": ErrImagePull: .*(resolve|dial)/,
    );
    const events = await cluster.kubectl("get", "events", "--field-selector=involvedObject.name=unpulled");
    assert.match(
      events,
      /Warning +Failed +.*Failed to pull image "registry.invalid\/nothing:1": .*(no such host|dial|lookup)/,
    );
    assert.match(events, /Error: ImagePullBackOff/);
    assert.match(
      (await waiting("never", "ErrImageNeverPull")).state.waiting?.message ?? "",
      /not present with pull policy of Never/,
    );
    assert.match(
      (await waiting("misnamed", "InvalidImageName")).state.waiting?.message ?? "",
      /Failed to apply default image tag/,
    );
    const ends = await waiting("ends", "CrashLoopBackOff");
    assert.match(ends.state.waiting?.message ?? "", /^back-off 10s restarting failed container=c pod=ends_default/);
    assert.deepEqual([ends.lastState.terminated?.exitCode, ends.lastState.terminated?.reason], [7, "Error"]);
    assert.equal(await cluster.kubectl("logs", "ends", "--previous"), "going\n");
    assert.match(
      await cluster.kubectl("get", "events", "--field-selector=involvedObject.name=ends"),
      /Warning +BackOff +.*Back-off restarting failed container/,
    );
    const nothing = await cluster.kubectl("get", "events", "--field-selector=involvedObject.name=nothing");
    assert.match(nothing, /no such file or directory/);
    await cluster.kubectl("delete", "pod", "--all", "--now");
  });

  test("no space: writes are refused with the reason, nothing is lost, later writes work, also after a restart", async (context) => {
    const store = path.join(cluster.dataDir, "store");
    context.after(async () => {
      await cluster.stop("SIGKILL");
      await cluster.run("umount", "-l", store);
    });
    await cluster.stop("SIGTERM");
    await cluster.run(
      "sh",
      "-ec",
      'mv "$1" "$1.big"; mkdir "$1"; mount -t tmpfs -o size=12m none "$1"; cp -p "$1.big"/* "$1"/',
      "sh",
      store,
    );
    await cluster.start();
    const fill = (name: string) =>
      `head -c 300000 /dev/zero | tr '\\0' x > ${at("big")}; kubectl create configmap ${name} --from-file=${at("big")}`;
    const kept: string[] = [];
    let refusal: Failure | undefined;
    for (let i = 0; !refusal; i++) {
      assert.ok(i < 40, "12 MB hold less than 40 maps of 300 kB");
      const failure = await cluster.run("sh", "-c", fill(`full-${i}`)).then(
        () => undefined,
        (error: Failure) => error,
      );
      if (failure) refusal = failure;
      else kept.push(`configmap/full-${i}`);
    }
    assert.match(refusal.stderr, /^error: .*: no space left for .*state.db: nothing was written, free some space/m);
    const maps = async () =>
      (await cluster.kubectl("get", "configmap", "-o", "name"))
        .split("\n")
        .filter((name) => name.includes("full-"))
        .sort();
    assert.deepEqual(await maps(), kept.sort());
    assert.match(await cluster.kubectl("get", "nodes"), / Ready /, "reads go on");
    assert.equal(cluster.process.exitCode, null);
    await cluster.run("mount", "-o", "remount,size=200m", store);
    await cluster.kubectl("create", "configmap", "later");
    await cluster.stop("SIGKILL");
    await cluster.start();
    assert.deepEqual(await maps(), kept);
    await cluster.kubectl("get", "configmap", "later");
    await fillDisk(cluster, store);
    assert.match(await cluster.sampan("down"), /^down/, "also with a full disk");
  });
});

function newerFormat(file: string): void {
  const db = new DatabaseSync(file);
  db.exec("PRAGMA user_version = 99");
  db.close();
}

function folderFor(file: string): void {
  rmSync(file);
  mkdirSync(file);
}
