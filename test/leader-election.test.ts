/** Two of each loop as processes of their own: one works, and when it is killed, ended or robbed of its lease, the other goes on where it was. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { Lease } from "#api";
import { createClient, createHttpsTransport, createInformers, kubeconfigTarget, readKubeconfig } from "#client";
import { freePort, type PartProcess, startPart, temporaryFolder } from "./processes.ts";

const times = [
  ...["--leader-elect-lease-duration", "5s", "--leader-elect-renew-deadline", "4s"],
  ...["--leader-elect-retry-period", "250ms", "--secure-port", "0"],
];
const managerLease = "kube-controller-manager";
const nodeNames = ["n1", "n2"];

test("leader election: one of two works, the other takes over, and nothing is made twice", async (t) => {
  const dataDir = temporaryFolder(t);
  const port = String(await freePort());
  const place = ["--data-dir", dataDir, "--secure-port", port, "--bind-address", "127.0.0.1"];
  await startPart(t, ["apiserver", ...place]).printed(/serving on/);
  const kubeconfig = path.join(dataDir, "admin.kubeconfig");
  const toEnd = new Set<PartProcess>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined); // told by whoever waits
  const start = async (verb: "controllers" | "scheduler", state: RegExp): Promise<PartProcess> => {
    const part = startPart(t, [verb, "--kubeconfig", kubeconfig, ...times]);
    part.ended.then((code) => {
      if (!toEnd.has(part)) failed.reject(new Error(`${verb} ended with ${code}:\n${part.output()}`));
    });
    await part.printed(state);
    return part;
  };
  const [works, waits] = [/works against/, /stands by/];
  const [manager, scheduler] = await Promise.all([start("controllers", works), start("scheduler", works)]);
  const [nextManager, nextScheduler] = await Promise.all([start("controllers", waits), start("scheduler", waits)]);

  const target = await kubeconfigTarget(await readKubeconfig([kubeconfig]));
  const transport = createHttpsTransport({ ...target.transport, userAgent: "test" });
  const client = createClient(transport);
  const stop = new AbortController();
  const informers = createInformers(client);
  const pods = informers.of("v1/pods", { namespace: "default" });
  const sets = informers.of("apps/v1/replicasets");
  const leases = informers.of("coordination.k8s.io/v1/leases", { namespace: "kube-system" });
  const events = informers.of("v1/events", { namespace: "kube-system" });
  const running = informers.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    transport.close();
  });
  const waiting = new Set<() => void>();
  const look = () => {
    for (const each of waiting) each();
  };
  const until = (condition: () => boolean) => {
    const met = new Promise<void>((resolve) => {
      const check = () => {
        if (!condition()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
    return Promise.race([met, failed.promise]);
  };
  const made = new Set<string>();
  pods.addHandler({
    added(pod) {
      made.add(pod.metadata?.name ?? "");
      look();
    },
    updated: look,
    deleted: look,
  });
  events.addHandler({ added: look });
  const holders: string[] = [];
  const heard = (lease: { metadata?: { name?: string }; spec?: Lease["spec"] }) => {
    const holder = lease.spec?.holderIdentity ?? "";
    if (lease.metadata?.name === managerLease && holders.at(-1) !== holder) holders.push(holder);
  };
  leases.addHandler({ added: heard, updated: heard });
  for (const name of nodeNames) {
    const capacity = { cpu: "64", memory: "64Gi", pods: "500" };
    const conditions = [{ type: "Ready", status: "True" }];
    const status = { capacity, allocatable: capacity, conditions };
    await client.resource("v1/nodes").create({ metadata: { name } });
    await client.resource("v1/nodes").patch(name, { status }, { type: "merge", subresource: "status" });
  }
  const labels = { app: "web" };
  const deployments = client.resource("apps/v1/deployments", "default");
  await deployments.create({
    metadata: { name: "web" },
    spec: {
      replicas: 10,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "x:1" }] } },
    },
  });
  const scale = (replicas: number) => deployments.patch("web", { spec: { replicas } }, { type: "merge" });
  const placed = (count: number) => until(() => pods.list().filter(({ spec }) => spec?.nodeName).length === count);
  await placed(10);

  // Killed in the middle of a batch, both at once.
  await scale(60);
  await until(() => made.size >= 20);
  for (const part of [manager, scheduler]) toEnd.add(part);
  manager.child.kill("SIGKILL");
  scheduler.child.kill("SIGKILL");
  await Promise.all([nextManager.printed(works), nextScheduler.printed(works)]);
  await placed(60);
  assert.equal(made.size, 60, "nothing was made twice");
  assert.equal(sets.list().length, 1);

  // Asked to end while it works: it gives the lease away, so the next needn't wait for it to run out.
  const third = await start("controllers", waits);
  await scale(100);
  await until(() => made.size >= 70);
  toEnd.add(nextManager);
  nextManager.child.kill("SIGTERM");
  assert.equal(await nextManager.ended, 0);
  await third.printed(works);
  await placed(100);
  assert.equal(made.size, 100, "nothing was made twice");
  assert.equal(holders.at(-2), "", "the lease was given away");
  await scale(110);
  await placed(110);
  assert.equal(made.size, 110);
  const leaders = () => events.list().filter(({ message }) => message?.endsWith(" became leader"));
  await until(() => leaders().filter(({ involvedObject }) => involvedObject.name === managerLease).length === 3);

  // Robbed of it: it ends by itself.
  const own = client.resource("coordination.k8s.io/v1/leases", "kube-system");
  toEnd.add(third);
  const robbed = { spec: { holderIdentity: "robber", leaseDurationSeconds: 60 } };
  await own.patch(managerLease, robbed, { type: "merge" });
  assert.equal(await third.ended, 1);
  assert.match(third.output(), /leaderelection lost/);
});
