import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { FakeClock } from "#base";
import { kubeconfigPaths, kubeconfigTarget, readKubeconfig, tokenFileSource } from "./kubeconfig.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kubeconfig-"));
});
after(() => rm(folder, { recursive: true }));

const write = async (name: string, text: string) => {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
};
const base64 = (text: string) => Buffer.from(text).toString("base64");

test("kubeconfig: an explicit file, the list of KUBECONFIG, the home folder", () => {
  const environment = { KUBECONFIG: ["/a", "", "/b", "/a"].join(delimiter), HOME: "/home/me" };
  assert.deepEqual(kubeconfigPaths(environment, "/x"), ["/x"]);
  assert.deepEqual(kubeconfigPaths(environment), ["/a", "/b"]);
  assert.deepEqual(kubeconfigPaths({ HOME: "/home/me" }), ["/home/me/.kube/config"]);
});

test("kubeconfig: the first file wins, later ones add, missing ones are skipped", async () => {
  await write("ca.pem", "CA");
  const first = await write(
    "first",
    `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://one:6443", certificate-authority: ca.pem}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: ns}}]
`,
  );
  const second = await write(
    "second",
    `kind: Config
current-context: x
clusters: [{name: c, cluster: {server: "https://two:6443"}}]
users: [{name: u, user: {client-certificate-data: ${base64("CERT")}, client-key-data: ${base64("KEY")}, token: t}}]
`,
  );
  const config = await readKubeconfig([first, join(folder, "missing"), second]);
  const { transport, namespace, context } = await kubeconfigTarget(config);
  assert.equal(context, "x");
  assert.equal(namespace, "ns");
  assert.equal(transport.server, "https://one:6443");
  assert.equal(transport.ca, "CA", "relative to its file");
  assert.equal(transport.cert, "CERT");
  assert.equal(transport.key, "KEY");
  assert.equal(transport.token, "t");
  await assert.rejects(kubeconfigTarget(config, { context: "y" }), /context "y" does not exist/);
  await assert.rejects(readKubeconfig([join(folder, "missing")], { mustExist: true }), { code: "ENOENT" });
});

test("kubeconfig: credential plugins and nothing at all are refused with what to do", async () => {
  const path = await write(
    "exec",
    `kind: Config
current-context: x
clusters: [{name: c, cluster: {server: "https://one:6443"}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
users: [{name: u, user: {exec: {command: aws}}}]
`,
  );
  await assert.rejects(
    readKubeconfig([path]).then((config) => kubeconfigTarget(config)),
    /credential plugins/,
  );
  await assert.rejects(
    readKubeconfig([]).then((config) => kubeconfigTarget(config)),
    /no configuration has been provided/,
  );
  const pod = await write("pod", "kind: Pod\n");
  await assert.rejects(readKubeconfig([pod]), /expected a kubeconfig/);
});

test("kubeconfig: a rotated token file is read again after a minute and survives a missing file", async () => {
  const clock = new FakeClock();
  const path = await write("token", "one\n");
  const token = tokenFileSource(path, clock);
  assert.equal(await token(), "one");
  await write("token", "two\n");
  assert.equal(await token(), "one");
  clock.advance(60_000);
  assert.equal(await token(), "two");
  await rm(path);
  clock.advance(60_000);
  assert.equal(await token(), "two");
});
