/** Roll-outs, drains and taints with stock kubectl on real containers: what it says is what it says of Kubernetes. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");

suite("workloads on real containers", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  let node: string;
  const kubectl = (line: string) => cluster.kubectl(...line.split(" "));
  /** What a command that has to fail printed. */
  const refused = (line: string) =>
    kubectl(line).then(
      (text) => assert.fail(`${line}: ${text}`),
      (error: { stdout?: string; stderr?: string }) => `${error.stdout}${error.stderr}`,
    );
  const template = (app: string) => ({
    metadata: { labels: { app } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: "c",
          image,
          imagePullPolicy: "IfNotPresent",
          command: ["/bin/sh", "-c", "trap exit TERM; sleep 3600 & wait"],
        },
      ],
    },
  });
  const create = (kind: string, spec: object) =>
    cluster.kubectlInput(
      JSON.stringify({
        apiVersion: "apps/v1",
        kind,
        metadata: { name: "w", annotations: { "kubernetes.io/change-cause": "born" } },
        spec: { selector: { matchLabels: { app: kind } }, template: template(kind), ...spec },
      }),
      "create",
    );
  const gone = (what: string) =>
    cluster.until(
      async () => (await kubectl(`get pods -l app=${what} -o name`)) === "" || undefined,
      `no pods of the ${what}`,
    );

  before(async () => {
    cluster = await startTestCluster();
    const files = ["/bin/busybox:/bin/busybox", "/bin/busybox:/bin/sh"].flatMap((file) => ["--file", file]);
    await cluster.sampan("image", "pack", image, ...files);
    node = (await kubectl("get nodes -o name")).trim().replace("node/", "");
  });
  after(() => cluster?.close());

  suite("roll-outs", { concurrency: true }, () => {
    for (const [kind, done, spec] of [
      ["Deployment", /^deployment "w" successfully rolled out$/m, { replicas: 2 }],
      [
        "StatefulSet",
        /^(statefulset rolling update complete 2 pods at revision w-\w+\.\.\.|partitioned roll out complete: 2 new pods have been updated\.\.\.)$/m,
        { replicas: 2, serviceName: "w" },
      ],
      ["DaemonSet", /^daemon set "w" successfully rolled out$/m, {}],
    ] as const)
      test(`kubectl rollout: a ${kind} changes, tells its history, is undone and restarted`, async () => {
        const name = `${kind.toLowerCase()}/w`;
        const status = async () => assert.match(await kubectl(`rollout status ${name} --timeout=60s`), done);
        const history = async () =>
          (await kubectl(`rollout history ${name}`))
            .trim()
            .split("\n")
            .slice(2)
            .map((line) => line.split(/\s+/));
        const env = () => kubectl(`get ${name} -o jsonpath={.spec.template.spec.containers[0].env}`);
        await create(kind, spec);
        await status();
        assert.deepEqual(await history(), [["1", "born"]]);
        await kubectl(`set env ${name} A=b`);
        await kubectl(`annotate ${name} kubernetes.io/change-cause=changed --overwrite`);
        await status();
        assert.match(await kubectl(`rollout history ${name} --revision=2`), /with revision #2[\s\S]*A:\s+b/);
        assert.equal(await kubectl(`rollout undo ${name}`), `${kind.toLowerCase()}.apps/w rolled back\n`);
        await status();
        assert.equal(await env(), "");
        assert.deepEqual(
          (await history()).map(([revision]) => revision),
          ["2", "3"],
        );
        assert.match(
          await refused(`rollout undo ${name} --to-revision=9`),
          /unable to find (the )?specified revision 9/,
        );
        await kubectl(`rollout restart ${name}`);
        await status();
        assert.deepEqual(
          (await history()).map(([revision]) => revision),
          ["2", "3", "4"],
        );
        const described = await kubectl(`describe ${name}`);
        const said = {
          Deployment: /ScalingReplicaSet .*Scaled up replica set w-\w+ from 0 to /,
          StatefulSet: /SuccessfulCreate .*Create Pod w-0 in StatefulSet w successful/,
          DaemonSet: /SuccessfulCreate .*Created pod: w-\w{5}/,
        }[kind];
        assert.match(described, said);
        if (kind === "Deployment") {
          assert.match(described, /^ {2}Progressing +True +NewReplicaSetAvailable$/m);
          assert.match(described, /^NewReplicaSet: +w-\w+ \(2\/2 replicas created\)$/m);
          assert.equal(await kubectl(`rollout pause ${name}`), "deployment.apps/w paused\n");
          await kubectl(`set env ${name} A=c`);
          assert.match(await refused(`rollout undo ${name}`), /cannot rollback a paused deployment/);
          assert.equal(await kubectl(`rollout resume ${name}`), "deployment.apps/w resumed\n");
          await status();
          assert.equal((await history()).at(-1)?.[0], "5");
        }
        if (kind !== "DaemonSet") {
          assert.match(await kubectl(`scale ${name} --current-replicas=2 --replicas=1`), /scaled/);
          await cluster.until(
            async () => (await kubectl(`get pods -l app=${kind} -o name`)).split("\n").length === 2 || undefined,
            "one pod",
          );
        }
        await kubectl(`delete ${name}`);
        await gone(kind);
      });
  });

  test("kubectl drain: a budget is respected, daemons stay, and what left comes back when the node is uncordoned", async () => {
    await create("Deployment", { replicas: 2 });
    await cluster.kubectlInput(
      JSON.stringify({
        apiVersion: "apps/v1",
        kind: "DaemonSet",
        metadata: { name: "agent" },
        spec: {
          selector: { matchLabels: { app: "agent" } },
          template: template("agent"),
        },
      }),
      "create",
    );
    await kubectl("rollout status deployment/w --timeout=60s");
    await kubectl("rollout status daemonset/agent --timeout=60s");
    await kubectl("create poddisruptionbudget careful --selector=app=Deployment --min-available=2");
    await cluster.until(
      async () => /\s0\s/.test(await kubectl("get poddisruptionbudget careful --no-headers")) || undefined,
      "a counted budget",
    );
    assert.match(
      await refused(`drain ${node} --timeout=3s`),
      /cannot delete DaemonSet-managed Pods \(use --ignore-daemonsets to ignore\)/,
    );
    assert.match(await kubectl("get nodes --no-headers"), /Ready,SchedulingDisabled/);
    assert.match(
      await refused(`drain ${node} --ignore-daemonsets --delete-emptydir-data --force --timeout=3s`),
      /Cannot evict pod as it would violate the pod's disruption budget\./,
    );
    assert.equal((await kubectl("get pods -l app=Deployment -o name")).trim().split("\n").length, 2);
    await kubectl("delete poddisruptionbudget careful");
    const drained = await kubectl(`drain ${node} --ignore-daemonsets --delete-emptydir-data --force --timeout=60s`);
    assert.match(drained, new RegExp(`^node/${node} (drained|evicted)$`, "m"));
    assert.match(await kubectl("get pods -l app=Deployment --no-headers"), /^(w-\S+ +0\/1 +Pending.*\n){2}$/);
    assert.match(await kubectl("get pods -l app=agent --no-headers"), / 1\/1 +Running/);
    assert.match(
      await kubectl("describe pods -l app=Deployment"),
      /FailedScheduling .*0\/1 nodes are available: 1 node\(s\) were unschedulable/,
    );
    await kubectl(`uncordon ${node}`);
    await kubectl("rollout status deployment/w --timeout=60s");
  });

  test("kubectl taint: NoExecute drives out what doesn't bear it", async () => {
    await kubectl(`taint nodes ${node} gone=yes:NoExecute`);
    await cluster.until(
      async () =>
        /^(w-\S+ +0\/1 +Pending.*\n){2}$/.test(await kubectl("get pods -l app=Deployment --no-headers")) || undefined,
      "pods that wait",
    );
    await cluster.until(async () => (await kubectl("get pods -l app=agent -o name")) === "" || undefined, "no daemon");
    assert.match(await kubectl("get events"), /TaintManagerEviction +pod\/w-\S+ +Marking for deletion Pod default\/w-/);
    assert.match(await kubectl("get daemonset agent --no-headers"), /^agent +0 +0 +0 /);
    await kubectl(`taint nodes ${node} gone-`);
    await kubectl("rollout status deployment/w --timeout=60s");
    await kubectl("rollout status daemonset/agent --timeout=60s");
  });
});
