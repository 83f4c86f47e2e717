/** A kubelet of its own joins a cluster by a token: it runs its own pods first, gets certificates, and takes new ones without a restart. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { CertificateSigningRequest, Node } from "#api";
import { packImage } from "#kubelet";
import { startTestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");
const group = "system:bootstrappers:kubeadm:default-node-token";
const signing = "system:certificates.k8s.io:certificatesigningrequests";
const bind = (name: string, role: string, to: string) =>
  JSON.stringify({
    ...{ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRoleBinding", metadata: { name } },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: to }],
  });

test("node: its own pods run before there is an API server; it joins by a token, and answers for them", {
  skip: why ?? false,
}, async () => {
  const cluster = await startTestCluster();
  const folder = path.join(cluster.directory, "joiner");
  const at = (...parts: string[]) => path.join(folder, ...parts);
  let pid: string | undefined;
  try {
    await cluster.kubectlInput(
      JSON.stringify({
        ...{ apiVersion: "v1", kind: "Secret", type: "bootstrap.kubernetes.io/token" },
        metadata: { name: "bootstrap-token-abcdef", namespace: "kube-system" },
        stringData: {
          ...{ "token-id": "abcdef", "token-secret": "0123456789abcdef", "auth-extra-groups": group },
          "usage-bootstrap-authentication": "true",
        },
      }),
      "create",
    );
    for (const binding of [
      bind("kubelet-bootstrap", "system:node-bootstrapper", group),
      bind("node-autoapprove-bootstrap", `${signing}:nodeclient`, group),
    ])
      await cluster.kubectlInput(binding, "create");
    await cluster.stop("SIGTERM");

    for (const name of ["manifests", "images", "seen"]) mkdirSync(at(name), { recursive: true });
    const files = ["/bin/busybox", "/bin/sh"].map((each) => ({ host: "/bin/busybox", path: each }));
    writeFileSync(at("images", "busybox.tar"), await packImage({ name: image, files }));
    const script = "echo own > /seen/it; echo own; trap exit TERM; sleep 3600 & wait";
    const pod = {
      ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "own" } },
      spec: {
        ...{ hostNetwork: true, terminationGracePeriodSeconds: 1 },
        volumes: [{ name: "seen", hostPath: { path: at("seen") } }],
        containers: [
          {
            name: "c",
            image,
            command: ["/bin/sh", "-c", script],
            volumeMounts: [{ name: "seen", mountPath: "/seen" }],
          },
        ],
      },
    };
    writeFileSync(at("manifests", "own.json"), JSON.stringify(pod));
    const admin = readFileSync(path.join(cluster.dataDir, "admin.kubeconfig"), "utf8");
    const [, authority] = /certificate-authority-data: (\S+)/.exec(admin) ?? [];
    writeFileSync(
      at("bootstrap.conf"),
      JSON.stringify({
        ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
        clusters: [
          { name: "c", cluster: { server: "https://127.0.0.1:6443", "certificate-authority-data": authority } },
        ],
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        users: [{ name: "u", user: { token: "abcdef.0123456789abcdef" } }],
      }),
    );
    writeFileSync(
      at("kubelet.yaml"),
      `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: manifests
rotateCertificates: true
serverTLSBootstrap: true
port: 10260
healthzPort: 0
evictionHard: {pid.available: "5"}
authentication: {x509: {clientCAFile: ${path.join(cluster.dataDir, "pki/ca.crt")}}}
`,
    );
    const program = path.join(import.meta.dirname, "../dist/sampan.js");
    const line = `${process.execPath} ${program} kubelet --data-dir ${folder} --config ${at("kubelet.yaml")} --bootstrap-kubeconfig ${at("bootstrap.conf")} --kubeconfig ${at("kubelet.conf")} --hostname-override joiner --node-ip 10.244.0.1 --node-labels node.kubernetes.io/own=1`;
    pid = (await cluster.run("sh", "-c", `${line} > ${at("log")} 2>&1 < /dev/null & echo $!`)).trim();
    const looks = <T>(look: () => T | Promise<T | undefined> | undefined, what: string) =>
      cluster
        .until(async () => look(), what)
        .catch((error: Error) => {
          error.message += `\n${readFileSync(at("log"), "utf8").slice(-3000)}`;
          throw error;
        });
    await looks(() => existsSync(at("seen", "it")) || undefined, "the node's own pod runs without an API server");

    await cluster.start();
    const read = async <T>(what: string) =>
      JSON.parse(await cluster.kubectl("get", ...what.split(" "), "-o", "json")) as T; // of that kind
    const node = await looks(async () => {
      const found = await read<Node>("node joiner").catch(() => undefined);
      return found?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True")
        ? found
        : undefined;
    }, "the node is ready");
    assert.equal(node.metadata.labels?.["node.kubernetes.io/own"], "1");
    const requests = async () => (await read<{ items: CertificateSigningRequest[] }>("csr")).items;
    const client = (await requests()).find(({ metadata }) => metadata.name?.startsWith("node-csr-"));
    assert.equal(client?.spec.username, "system:bootstrap:abcdef");
    assert.match(readFileSync(at("kubelet.conf"), "utf8"), /client-certificate: .*\/pki\/kubelet-client-current\.pem/);
    const serving = await looks(
      async () => (await requests()).find(({ spec }) => spec.signerName === "kubernetes.io/kubelet-serving"),
      "a serving certificate is asked for",
    );
    assert.equal(serving.spec.username, "system:node:joiner");
    await cluster.kubectl("certificate", "approve", serving.metadata.name ?? "");
    const log = await looks(
      () =>
        cluster.kubectl("logs", "own-joiner").then(
          (text) => text || undefined,
          () => undefined,
        ),
      "the node answers with its new certificate",
    );
    assert.equal(log, "own\n");
    const line443 = "echo | openssl s_client -connect 10.244.0.1:10260 2>/dev/null | openssl x509 -noout -issuer";
    if (existsSync("/usr/bin/openssl"))
      assert.match(await cluster.run("sh", "-c", line443), /issuer=CN ?= ?kubernetes/);
  } finally {
    if (pid) await cluster.run("kill", pid).catch(() => "");
    const program = path.join(import.meta.dirname, "../dist/sampan.js");
    await cluster.run(process.execPath, program, "down", "--purge", "--data-dir", folder).catch(() => "");
    await cluster.close();
  }
});
