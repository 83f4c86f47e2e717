/** Ingresses on real containers: made by kubectl, asked by curl, under load while their backends are replaced. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const missing = ["/bin/busybox", "/usr/bin/curl", "/usr/bin/openssl"].find((program) => !existsSync(program));
const why = whyNoCluster() ?? (missing ? `needs ${missing}` : undefined);
const image = "example.test/web:1";

suite("ingress", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster();
    const applets = ["sh", "httpd", "hostname", "echo", "sleep"].flatMap((name) => [
      "--file",
      `/bin/busybox:/bin/${name}`,
    ]);
    await cluster.sampan("image", "pack", image, ...applets);
    await cluster.kubectlInput(deployment("v1"), "apply");
    await cluster.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080");
    await cluster.kubectl("rollout", "status", "deployment", "web", "--timeout=60s");
  });
  after(() => cluster?.close());

  const deployment = (version: string) =>
    JSON.stringify({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "web" },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: "web" } },
        template: {
          metadata: { labels: { app: "web" } },
          spec: {
            terminationGracePeriodSeconds: 5,
            containers: [
              {
                name: "web",
                image,
                env: [{ name: "VERSION", value: version }],
                // Ends at once when it is told to, whoever is being answered.
                command: [
                  "/bin/sh",
                  "-c",
                  "trap exit TERM; echo $VERSION $(hostname) > /index.html; httpd -f -p 8080 -h / & wait",
                ],
                readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 },
              },
            ],
          },
        },
      },
    });
  const address = async () =>
    (await cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")).trim();
  const curl = (...args: string[]) => cluster.run("curl", "-sS", "-m", "5", ...args);
  const listens = async () => {
    const lines = await cluster.run("ss", "-Hltn");
    return /:(80|443)\s/.test(lines);
  };
  const statusOf = async (name: string) =>
    (await cluster.kubectl("get", "ingress", name, "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")).trim();
  const exposed = (name: string) =>
    cluster.until(async () => (await statusOf(name)) || undefined, `an address of ingress ${name}`);
  const certificate = async (name: string, file: string) => {
    const at = (suffix: string) => path.join(cluster.directory, `${file}.${suffix}`);
    const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:foo.bar.com"];
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", at("key")];
    await cluster.run("openssl", "req", "-x509", "-days", "2", ...key, "-out", at("crt"), ...names);
    return ["--cert", at("crt"), "--key", at("key")];
  };

  test("before the first Ingress nothing listens, and our class is the default", async () => {
    assert.equal(await listens(), false);
    const classes = await cluster.kubectl("get", "ingressclasses");
    assert.match(classes, /^sampan\s+sampan\.dev\/ingress\s+<none>/m);
  });

  test("kubectl create ingress: exposed at the node, by HTTP and by HTTPS with the certificate of its secret", async () => {
    const files = await certificate("first", "first");
    await cluster.kubectl("create", "secret", "tls", "conformance-tls", ...files);
    const rules = ["--rule=foo.bar.com/*=web:80,tls=conformance-tls", "--rule=*.foo.com/only=web:80"];
    await cluster.kubectl("create", "ingress", "web", ...rules);
    assert.equal(await exposed("web"), await address());
    assert.equal(await cluster.kubectl("get", "ingress", "web", "-o", "jsonpath={.spec.ingressClassName}"), "sampan");
    const ip = await address();
    const at = (host: string, port: number) => ["--resolve", `${host}:${port}:${ip}`];
    assert.match(await curl(...at("foo.bar.com", 80), "http://foo.bar.com/"), /^v1 web-/);
    const ca = ["--cacert", path.join(cluster.directory, "first.crt")];
    const version = await curl(...at("foo.bar.com", 443), ...ca, "-w", "%{http_version}", "https://foo.bar.com/");
    assert.match(version, /^v1 web-[\s\S]*2$/);
    const code = async (host: string, target: string) =>
      curl(...at(host, 80), "-o", "/dev/null", "-w", "%{http_code}", `http://${host}${target}`);
    assert.equal(await code("bar.foo.com", "/only"), "404", "the backend's own: it was asked");
    assert.equal(await code("subdomain.bar.com", "/"), "404");
    assert.match(await curl(...at("subdomain.bar.com", 80), "http://subdomain.bar.com/"), /no Ingress has a rule/);
    // Another certificate in the same secret.
    const next = await certificate("second", "second");
    const secret = await cluster.kubectl(
      "create",
      "secret",
      "tls",
      "conformance-tls",
      ...next,
      "--dry-run=client",
      "-o",
      "json",
    );
    await cluster.kubectlInput(secret, "apply");
    const newer = ["--cacert", path.join(cluster.directory, "second.crt")];
    await cluster.until(
      () => curl(...at("foo.bar.com", 443), ...newer, "https://foo.bar.com/").then(Boolean, () => undefined),
      "the new certificate",
      5_000,
    );
  });

  test("a rolling update and deleted pods fail no request", async () => {
    const load = spawn(
      "nsenter",
      [
        `--net=/proc/${cluster.process.pid}/ns/net`,
        process.execPath,
        "test/ingress-load.ts",
        `http://${await address()}/`,
        "foo.bar.com",
        "4",
      ],
      { cwd: path.resolve(import.meta.dirname, ".."), stdio: ["pipe", "pipe", "inherit"] },
    );
    let said = "";
    load.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = new Promise((done) => load.on("close", done));
    await cluster.kubectlInput(deployment("v2"), "apply");
    await cluster.kubectl("rollout", "status", "deployment", "web", "--timeout=60s");
    const pods = (await cluster.kubectl("get", "pods", "-l", "app=web", "-o", "name")).trim().split("\n");
    await cluster.kubectl("delete", "--wait=false", pods[0] ?? "");
    await cluster.kubectl("rollout", "status", "deployment", "web", "--timeout=60s");
    load.stdin.end();
    await ended;
    const { failures, bodies } = JSON.parse(said) as Record<"failures" | "bodies", Record<string, number>>;
    assert.deepEqual(failures, {});
    const versions = Object.keys(bodies).map((body) => body.split(" ")[0]);
    assert.deepEqual([...new Set(versions)].sort(), ["v1", "v2"], "both were asked");
  });

  test("load balancing: all pods of a Service are asked", async () => {
    await cluster.kubectl("scale", "deployment", "web", "--replicas=4");
    await cluster.kubectl("rollout", "status", "deployment", "web", "--timeout=60s");
    const url = `http://${await address()}/?[1-40]`;
    const ask = async () => new Set((await curl("-H", "Host: foo.bar.com", url)).trim().split("\n")).size;
    await cluster.until(async () => ((await ask()) === 4 ? true : undefined), "answers of four pods");
  });

  test("an Ingress of another class is left alone; the last of ours takes the ports with it", async () => {
    await cluster.kubectl("create", "ingress", "other", "--class=some-invalid-class-name", "--rule=other/*=web:80");
    await cluster.kubectl("create", "ingress", "late", "--rule=late/*=web:80");
    await exposed("late");
    assert.equal(await statusOf("other"), "");
    await cluster.kubectl("delete", "ingress", "web", "late");
    await cluster.until(async () => ((await listens()) ? undefined : true), "closed ports");
    assert.equal(await statusOf("other"), "");
  });

  test("a port that is taken: the Ingress says so, and gets it when it is free", async () => {
    const other = spawn("nsenter", [
      `--net=/proc/${cluster.process.pid}/ns/net`,
      ...[process.execPath, "-e", 'require("net").createServer().listen(80, () => console.log("up"))'],
    ]);
    await new Promise((done) => other.stdout.once("data", done));
    try {
      await cluster.kubectl("create", "ingress", "taken", "--rule=taken/*=web:80");
      await cluster.until(
        async () => /PortUnavailable.*port 80 can't/.exec(await cluster.kubectl("get", "events")) ?? undefined,
        "an event about the port",
      );
    } finally {
      other.kill();
    }
    await cluster.kubectl("annotate", "ingress", "taken", "a=b");
    const ask = () => curl("-H", "Host: taken", `http://127.0.0.1/`).catch(() => "");
    await cluster.until(async () => /^v2/.exec(await ask()) ?? undefined, "an answer at the port");
  });
});
