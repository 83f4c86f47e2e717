/** Images from real registries, through a real containerd and a real API server, in a network namespace without a route out. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { access, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import type { ContainerStatus, Event, Pod, Secret } from "#api";
import { createLogger } from "#base";
import { createInformers, type Informer } from "#client";
import {
  type Cluster,
  insideNamespace,
  ip,
  pushImage,
  type Registry,
  registryUser,
  runInNamespace,
  scaledClock,
  startCluster,
  startRegistry,
  whyNoNamespaces,
  whyNoRegistry,
} from "#testing";
import { packImage } from "../image/pack.ts";
import { createKubelet, type KubeletOptions, nodeFolders, removeNode } from "../mod.ts";

const open = "127.0.0.1:5000";
const closed = "127.0.0.1:5001";
const later = "127.0.0.1:5002";
/** Not of the loopback interface's network: containerd wants TLS there. */
const secure = "10.9.9.9:5003";
/** The node's minutes are seconds here. */
const speed = 12;
const waitMsMax = 50_000;

async function whyNot(): Promise<string | undefined> {
  for (const program of ["/usr/bin/containerd", "/usr/bin/catatonit", "/usr/lib/cni/bridge", "/bin/busybox"])
    if (
      !(await access(program)
        .then(() => true)
        .catch(() => false))
    )
      return `needs ${program}`;
  return whyNoNamespaces() ?? whyNoRegistry();
}

const skip = insideNamespace ? false : ((await whyNot()) ?? false);
if (!insideNamespace) test("images: from real registries", { skip }, () => runInNamespace(import.meta.filename));
else
  suite("images from real registries", { concurrency: true, timeout: 180_000 }, () => {
    let folder: string;
    let cluster: Cluster;
    let pods: Informer<Pod>;
    let events: Informer<Event>;
    let options: KubeletOptions;
    let digest: string;
    const registries: Registry[] = [];
    const stop = new AbortController();
    const running: Promise<unknown>[] = [];
    const complaints: string[] = [];
    const log = createLogger({ write: (line) => complaints.push(line), level: "warn" });
    const storage = () => join(folder, "storage");
    const registry = async (address: string, more: object = {}) => {
      registries.push(await startRegistry({ folder: join(folder, "registry"), storage: storage(), address, ...more }));
    };
    const pack = (label: string) => {
      const files = ["/bin/busybox", "/bin/sh"].map((path) => ({ host: "/bin/busybox", path }));
      return packImage({
        name: "demo/app:1",
        files,
        labels: { label },
        cmd: ["/bin/sh", "-c", "exec /bin/busybox sleep 3600"],
      });
    };

    before(async () => {
      ip("link", "set", "lo", "up");
      ip("address", "add", "10.9.9.9/32", "dev", "lo");
      folder = await mkdtemp(join(tmpdir(), "images-"));
      const tls = await certificate(folder, "10.9.9.9");
      await Promise.all([
        registry(open),
        registry(closed, { withLogin: true }),
        registry(secure, { withLogin: true, tls }),
      ]);
      digest = await pushImage(`http://${open}`, "demo/app:1", await pack("one"));
      for (const name of ["demo/moving:1", "demo/mine:1", "demo/cfg:1", "demo/asked:1"])
        await pushImage(`http://${open}`, name, await pack(name));

      const rootDir = join(folder, "node");
      options = {
        nodeName: "n",
        rootDir,
        version: "v1.36.3",
        nodeIPs: ["10.9.9.9"],
        podCidrs: ["10.244.7.0/24"],
        config: {
          clusterDNS: ["10.96.0.10"],
          clusterDomain: "cluster.local",
          serializeImagePulls: false,
          registryPullQPS: 0,
          enableServer: false,
          // However full this machine's disk is.
          evictionHard: {},
          imageGCHighThresholdPercent: 100,
        },
        imageCredentialProvider: await helper(folder),
      };
      // How containerd is told of an authority: its hosts folder, below the node's.
      const hosts = join(nodeFolders(options).containerd, "registry", secure);
      await mkdir(hosts, { recursive: true });
      const server = `[host."https://${secure}"]\n  ca = ${JSON.stringify(tls.certificate)}\n`;
      await writeFile(join(hosts, "hosts.toml"), `server = "https://${secure}"\n${server}`);

      cluster = await startCluster({ controllers: {} });
      const informers = createInformers(cluster.client);
      pods = informers.of("v1/pods");
      events = informers.of("v1/events");
      running.push(informers.run(stop.signal));
      const kubelet = createKubelet(options, {
        client: cluster.clientFor({ name: "system:node:n", groups: ["system:nodes"], userAgent: "kubelet" }),
        clock: scaledClock(speed),
        log,
      });
      running.push(kubelet.run(stop.signal));
      await kubelet.ready();
      const account = cluster.client.resource("v1/serviceaccounts", "default");
      await account.create({
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: "puller" },
        imagePullSecrets: [{ name: "right" }],
      });
      const { username, password } = registryUser;
      await Promise.all([
        secret("right", { [closed]: { auth: base64(`${username}:${password}`) } }),
        secret("wrong", { [closed]: { username, password: "no" } }),
        secret("old", { [closed]: { username, password } }, "dockercfg"),
        secret("wild", { "*.9.9.9:5003/demo": { username, password } }),
      ]);
    });
    after(async () => {
      stop.abort();
      await Promise.allSettled(running);
      await Promise.all(registries.map((one) => one.close()));
      await cluster?.close();
      if (options) await removeNode(options, log);
      await rm(folder, { recursive: true, force: true });
    });

    const base64 = (text: string) => Buffer.from(text).toString("base64");
    async function secret(name: string, auths: object, kind: "dockerconfigjson" | "dockercfg" = "dockerconfigjson") {
      const value = JSON.stringify(kind === "dockercfg" ? auths : { auths });
      const object: Secret = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name },
        type: `kubernetes.io/${kind}`,
        data: { [`.${kind}`]: base64(value) },
      };
      await cluster.client.resource("v1/secrets", "default").create(object);
    }

    interface Wanted {
      readonly image: string;
      readonly policy?: "Always" | "IfNotPresent" | "Never";
      readonly secrets?: readonly string[];
      readonly account?: string;
    }
    let made = 0;
    async function create({
      image,
      policy = "IfNotPresent",
      secrets = [],
      account = "default",
    }: Wanted): Promise<string> {
      const name = `p${made++}`;
      await cluster.client.resource("v1/pods", "default").create({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name },
        spec: {
          nodeName: "n",
          serviceAccountName: account,
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 0,
          imagePullSecrets: secrets.map((one) => ({ name: one })),
          containers: [{ name: "c", image, imagePullPolicy: policy }],
        },
      });
      return name;
    }

    /** The container's status once it fits. */
    function status(name: string, fits: (status: ContainerStatus) => boolean, what: string): Promise<ContainerStatus> {
      return new Promise((resolve, reject) => {
        const read = () => pods.get(`default/${name}`)?.status?.containerStatuses?.[0] as ContainerStatus | undefined; // only read
        const late = setTimeout(() => {
          remove();
          reject(new Error(`${name}: not ${what}: ${JSON.stringify(read())}\n${complaints.slice(-3).join("")}`));
        }, waitMsMax);
        const look = () => {
          const found = read();
          if (!found || !fits(found)) return;
          clearTimeout(late);
          queueMicrotask(() => remove());
          resolve(found);
        };
        const remove = pods.addHandler({ added: look, updated: look });
      });
    }
    const runs = async (wanted: Wanted) => {
      const name = await create(wanted);
      return { ...(await status(name, ({ state }) => state?.running !== undefined, "running")), name };
    };
    const waits = async (wanted: Wanted, reason: string) => {
      const name = await create(wanted);
      const found = await status(name, ({ state }) => state?.waiting?.reason === reason, reason);
      return { name, message: found.state?.waiting?.message ?? "" };
    };
    /** Reasons and messages about a pod, in order of their time. */
    const said = (name: string) =>
      events
        .list("default")
        .filter(({ involvedObject }) => involvedObject.name === name)
        .map(({ reason, message }) => `${reason}: ${message}`);

    test("a tag: pulled, with its digest in the status and a size in the event", async () => {
      const image = `${open}/demo/app:1`;
      const { name, imageID } = await runs({ image });
      assert.equal(imageID.split("@")[1], digest);
      await until(() => said(name).some((one) => one.startsWith("Pulled")));
      const [pulled = ""] = said(name).filter((one) => one.startsWith("Pulled"));
      assert.match(
        pulled,
        new RegExp(
          `^Pulled: Successfully pulled image "${image}" in \\S+s \\(\\S+s including waiting\\)\\. Image size: \\d+ bytes\\.$`,
        ),
      );
    });

    test("a digest: pulled", async () => {
      assert.equal((await runs({ image: `${open}/demo/app@${digest}` })).imageID.split("@")[1], digest);
    });

    test("Always: gets what the tag means now; IfNotPresent keeps what is here", async () => {
      const image = `${open}/demo/moving:1`;
      const first = await runs({ image });
      const moved = await pushImage(`http://${open}`, "demo/moving:1", await pack("moved"));
      const kept = await runs({ image });
      assert.equal(kept.imageID, first.imageID);
      const newest = await runs({ image, policy: "Always" });
      assert.equal(newest.imageID.split("@")[1], moved);
    });

    for (const [what, image, message] of [
      [
        "tag",
        "demo/app:9",
        `rpc error: code = NotFound desc = failed to pull and unpack image "${open}/demo/app:9": failed to resolve reference "${open}/demo/app:9": ${open}/demo/app:9: not found`,
      ],
      [
        "name",
        "demo/none:1",
        `rpc error: code = NotFound desc = failed to pull and unpack image "${open}/demo/none:1": failed to resolve reference "${open}/demo/none:1": ${open}/demo/none:1: not found`,
      ],
    ] as const)
      test(`a wrong ${what}: ErrImagePull, then ImagePullBackOff with the same error`, async () => {
        const { name, message: seen } = await waits({ image: `${open}/${image}` }, "ErrImagePull");
        assert.equal(seen, message);
        const backoff = await status(name, ({ state }) => state?.waiting?.reason === "ImagePullBackOff", "backing off");
        assert.equal(
          backoff.state?.waiting?.message,
          `Back-off pulling image "${open}/${image}": ErrImagePull: ${message}`,
        );
        await until(() => said(name).length >= 4);
        assert.deepEqual(
          new Set(said(name)),
          new Set(
            [
              `Pulling: Pulling image "${open}/${image}"`,
              `Failed: Failed to pull image "${open}/${image}": ${message}`,
              "Failed: Error: ErrImagePull",
              `BackOff: Back-off pulling image "${open}/${image}"`,
              "Failed: Error: ImagePullBackOff",
            ].slice(0, said(name).length),
          ),
        );
      });

    test("Never and names that are none: said at once", async () => {
      const never = await waits({ image: `${open}/demo/never:1`, policy: "Never" }, "ErrImageNeverPull");
      assert.equal(never.message, `Container image "${open}/demo/never:1" is not present with pull policy of Never`);
      const invalid = await waits({ image: `${open}/Demo:1` }, "InvalidImageName");
      assert.match(invalid.message, /^Failed to apply default image tag .* repository name must be lowercase$/);
    });

    for (const [what, secrets] of [
      ["no password", []],
      ["a wrong password", ["wrong"]],
      ["a secret that isn't there", ["missing"]],
    ] as const)
      test(`a registry with a login: ${what}: ErrImagePull`, async () => {
        const { name, message } = await waits({ image: `${closed}/demo/app:1`, secrets }, "ErrImagePull");
        assert.match(message, /authorization failed|401 Unauthorized|no basic auth credentials/);
        if (what.includes("isn't there"))
          await until(() =>
            said(name).includes(
              "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (missing); attempting to pull the image may not succeed.",
            ),
          );
      });

    test("a registry with a login: whose secret, or whose account's, has the password gets the image; nobody else does", async () => {
      const image = `${closed}/demo/mine:1`;
      // The wrong one is tried too.
      await runs({ image, secrets: ["wrong", "right"] });
      await runs({ image, account: "puller" });
      await runs({ image, secrets: ["old"] });
      const none = await waits({ image, policy: "Never" }, "ErrImageNeverPull");
      assert.equal(none.message, `Container image "${image}" is not present with pull policy of Never`);
      await waits({ image }, "ErrImagePull");
      await runs({ image, secrets: ["right"], policy: "Never" });
    });

    test("a registry with a login: dockercfg", async () =>
      void (await runs({ image: `${closed}/demo/cfg:1`, secrets: ["old"] })));

    test("a registry with TLS: its authority from the hosts folder, the password by wildcard", async () => {
      await runs({ image: `${secure}/demo/app:1`, secrets: ["wild"] });
    });

    test("a credential provider: asked for its images, with the node's word", async () => {
      await runs({ image: `${secure}/demo/asked:1` });
      const request = JSON.parse(await readFile(join(folder, "asked"), "utf8"));
      assert.equal(request.image, `${secure}/demo/asked`);
    });

    test("a registry that is down and comes back: tried again after 10, then 20 seconds", async () => {
      const image = `${later}/demo/app:1`;
      const { name, message } = await waits({ image }, "ErrImagePull");
      assert.match(message, /^failed to pull and unpack image .* connect: connection refused$/);
      await status(name, ({ state }) => state?.waiting?.reason === "ImagePullBackOff", "backing off");
      await status(name, ({ state }) => state?.waiting?.reason === "ErrImagePull", "tried again");
      await registry(later);
      await status(name, ({ state }) => state?.running !== undefined, "running");
    });

    async function until(check: () => boolean): Promise<void> {
      await new Promise<void>((resolve) => {
        const look = () => {
          if (!check()) return;
          queueMicrotask(() => remove());
          resolve();
        };
        const remove = events.addHandler({ added: look, updated: look });
        look();
      });
    }
  });

async function certificate(folder: string, address: string) {
  const [certificate, key] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const subject = ["-subj", `/CN=${address}`, "-addext", `subjectAltName=IP:${address}`];
  const algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...algorithm, ...subject, "-keyout", key, "-out", certificate], {
    stdio: "pipe",
  });
  return { certificate, key };
}

/** A program that knows the password of one image's registry. */
async function helper(folder: string) {
  const binDir = join(folder, "bin");
  const response = {
    apiVersion: "credentialprovider.kubelet.k8s.io/v1",
    kind: "CredentialProviderResponse",
    cacheKeyType: "Registry",
    auth: { [secure]: registryUser },
  };
  await mkdir(binDir);
  await writeFile(
    join(binDir, "helper"),
    `#!/bin/sh\ncat > ${folder}/asked\ncat <<'END'\n${JSON.stringify(response)}\nEND\n`,
  );
  await chmod(join(binDir, "helper"), 0o755);
  const provider = {
    name: "helper",
    matchImages: [`${secure}/demo/asked`],
    defaultCacheDuration: "1m",
    apiVersion: response.apiVersion,
  };
  const configFile = join(folder, "providers.json");
  const head = { apiVersion: "kubelet.config.k8s.io/v1", kind: "CredentialProviderConfig" };
  await writeFile(configFile, JSON.stringify({ ...head, providers: [provider] }));
  return { configFile, binDir };
}
