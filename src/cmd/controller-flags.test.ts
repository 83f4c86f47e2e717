import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { selfSignedPair } from "#apiserver";
import { type FlagValues, parseFlags, realClock, silentLogger } from "#base";
import { chooseControllers, controllerFlags, readControllerFlags } from "./controller-flags.ts";
import { checkLeaderFlags, leaderFlags } from "./leader-flags.ts";

const parse = (...args: string[]) => parseFlags(controllerFlags, { args, env: {} }).values;
async function read(values: FlagValues<typeof controllerFlags>) {
  const stop = new AbortController();
  try {
    return await readControllerFlags(values, { clock: realClock, log: silentLogger, signal: stop.signal });
  } finally {
    stop.abort();
  }
}

test("controllers: which run", () => {
  const names = (list: string, optional = false) =>
    chooseControllers(list.split(","), { optional }).map(({ name }) => name);
  assert.ok(names("*").includes("job-controller") && !names("*").includes("token-cleaner-controller"));
  assert.ok(names("*", true).includes("token-cleaner-controller"));
  assert.ok(!names("*,-tokencleaner", true).includes("token-cleaner-controller"));
  assert.ok(names("*,tokencleaner").includes("token-cleaner-controller"));
  assert.ok(!names("*,-job").includes("job-controller"));
  assert.deepEqual(names("csrsigning,cronjob-controller,podgc").sort(), [
    "certificatesigningrequest-signing-controller",
    "cronjob-controller",
    "pod-garbage-collector-controller",
  ]);
  assert.throws(() => names("*,-nonsense"), /^CommandError: "nonsense" is not in the list of known controllers$/);
});

test("controller flags: what is told to the controllers, and what is refused", async () => {
  const options = await read(
    parse("--node-eviction-rate", "0.5", "--terminated-pod-gc-threshold", "0", "--concurrent-job-syncs", "9"),
  );
  assert.equal(options.eviction?.perSecond, 0.5);
  assert.equal(options.terminatedPodsMax, Number.POSITIVE_INFINITY);
  assert.deepEqual([...(options.workers ?? [])], [["job-controller", 9]]);
  assert.equal(options.signers?.size, 0);
  await assert.rejects(read(parse("--unhealthy-zone-threshold", "most")), /--unhealthy-zone-threshold: want a number/);
  assert.throws(() => parse("--concurrent-jobs-syncs", "9"), /unknown flag: --concurrent-jobs-syncs/);
});

test("controller flags: one authority for all signers, or one for each of some", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "sampan-signing-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [certFile, keyFile] = [path.join(folder, "a.crt"), path.join(folder, "a.key")];
  const pair = await selfSignedPair("a", Date.now());
  writeFileSync(certFile, pair.certificate);
  writeFileSync(keyFile, pair.key);
  const files = (part: string) => [
    `--cluster-signing-${part}cert-file`,
    certFile,
    `--cluster-signing-${part}key-file`,
    keyFile,
  ];
  const signers = async (...args: string[]) => [...((await read(parse(...args))).signers?.keys() ?? [])];
  assert.equal((await signers(...files(""))).length, 4);
  assert.deepEqual(await signers(...files("kubelet-client-")), ["kubernetes.io/kube-apiserver-client-kubelet"]);
  const both = /^CommandError: cannot specify default and per controller certs at the same time$/;
  await assert.rejects(signers(...files(""), ...files("legacy-unknown-")), both);
  await assert.rejects(signers("--cluster-signing-cert-file", certFile), /belong together/);
  await assert.rejects(
    signers("--cluster-signing-cert-file", keyFile, "--cluster-signing-key-file", keyFile),
    /a\.key: /,
  );
});

test("leader election flags: times that can't work are refused", () => {
  const check = (...args: string[]) => checkLeaderFlags(parseFlags(leaderFlags, { args, env: {} }).values);
  check();
  check("--leader-elect=false", "--leader-elect-lease-duration", "1s");
  assert.throws(
    () => check("--leader-elect-lease-duration", "10s"),
    /must be greater than --leader-elect-renew-deadline/,
  );
  assert.throws(
    () => check("--leader-elect-retry-period", "9s"),
    /must be greater than --leader-elect-retry-period \* 1.2/,
  );
});
