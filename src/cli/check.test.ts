import assert from "node:assert/strict";
import { test } from "node:test";
import { assess, type MachineFacts, printFindings } from "./check.ts";

const good: MachineFacts = {
  platform: "linux",
  nodeVersion: "v26.10.0",
  userId: 0,
  programs: Object.fromEntries(
    ["containerd", "runc", "nft", "ip", "catatonit", "kubectl"].map((name) => [name, `/bin/${name}`]),
  ),
  containerdVersion: "1.6.20",
  cniDirectory: "/usr/lib/cni",
  cniPlugins: ["bridge", "host-local", "loopback", "portmap"],
  cgroups: "v2",
  cgroupControllers: ["cpu", "memory", "pids"],
  filesystems: ["overlay"],
  canLowerOomScore: true,
  inotifyInstancesMax: 1024,
  freeBytes: 5 * 1024 ** 3,
  dataDirectory: "/var/lib/sampan",
  portHolder: undefined,
  port: 6443,
  forwardDrops: [],
};

test("check: a machine that has everything", () => {
  assert.deepEqual(new Set(assess(good).map(({ verdict }) => verdict)), new Set(["ok"]));
});

for (const [name, change, verdict, mend] of [
  ["port taken", { portHolder: "kube-apiserver (pid 12)" }, "fatal", /--secure-port/],
  ["not root", { userId: 1000 }, "fatal", /sudo npm start/],
  [
    "no containerd",
    { programs: { ...good.programs, containerd: undefined } },
    "fatal",
    /apt-get install -y containerd/,
  ],
  ["no plugins", { cniPlugins: ["bridge"] }, "fatal", /containernetworking-plugins/],
  ["no memory controller", { cgroupControllers: ["cpu", "pids"] }, "warning", /command line/],
  ["Docker's rules", { forwardDrops: ["table ip filter, chain FORWARD"] }, "warning", /iptables -I FORWARD -i sampan0/],
  ["firewalld", { forwardDrops: ["table inet firewalld, chain filter_FORWARD"] }, "warning", /--add-interface=sampan0/],
  ["old Node.js", { nodeVersion: "v20.20.2" }, "fatal", /Node\.js 26/],
] as const)
  test(`check: ${name}`, () => {
    const bad = assess({ ...good, ...change }).filter((finding) => finding.verdict !== "ok");
    assert.deepEqual(
      bad.map((finding) => finding.verdict),
      [verdict],
    );
    assert.match(bad[0]?.mend ?? "", mend);
  });

test("check: the printed finding names found, needed and the command", () => {
  const text = printFindings(assess({ ...good, portHolder: "nginx (pid 7)" }));
  assert.match(text, /FATAL +port 6443 +held by nginx \(pid 7\); needed: free\n +-> stop that process/);
});
