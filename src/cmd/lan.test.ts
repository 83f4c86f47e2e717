import assert from "node:assert/strict";
import { test } from "node:test";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { insideNamespace, ip, runInNamespace, whyNoNamespaces } from "#testing";
import { connectToLan, disconnectFromLan, lanName, prepareLan, removeLan } from "./lan.ts";

const cidr = "172.30.240.0/24";
const options = { cidr, owner: "/data", others: ["10.244.0.0/16", "10.96.0.0/16", "fd00::/64"] };

if (!insideNamespace)
  test("lan: made, connected and removed", { skip: whyNoNamespaces() ?? false }, () =>
    runInNamespace(import.meta.filename),
  );
else {
  test("lan: twice is like once; nothing is left", async () => {
    for (let round = 0; round < 2; round++) await prepareLan(options);
    assert.match(ip("address", "show", lanName), /inet 172\.30\.240\.1\/24/);
    await removeLan("/other");
    assert.match(ip("link"), new RegExp(lanName));
    await disconnectFromLan(2);
    await removeLan("/data");
    assert.doesNotMatch(ip("link"), /sampan-lan/);
    await removeLan("/data");
  });

  test("lan: the machine is a neighbour by any of its addresses", async () => {
    await prepareLan(options);
    const node = spawn("unshare", ["--net", "sh", "-c", "echo up; exec sleep infinity"]);
    await once(node.stdout, "data");
    for (const firstAddress of ["172.30.240.1", "192.0.2.7"])
      await connectToLan({ index: 2, cidr, pid: node.pid ?? 0, firstAddress });
    const routes = execFileSync("nsenter", [`--net=/proc/${node.pid}/ns/net`, "ip", "route"], { encoding: "utf8" });
    assert.match(routes, /^192\.0\.2\.7 dev eth0 scope link/m);
    assert.doesNotMatch(routes, /^172\.30\.240\.1 /m);
    node.kill("SIGKILL");
    await removeLan("/data");
  });

  test("lan: what is somebody else's is left alone, with a reason", async () => {
    await prepareLan(options);
    await assert.rejects(prepareLan({ ...options, owner: "/other" }), /sampan-lan0 belongs to the cluster of \/data/);
    await removeLan("/data");
    ip("link", "add", "office", "type", "bridge");
    ip("address", "add", "172.30.0.9/16", "dev", "office");
    ip("link", "set", "office", "up");
    await assert.rejects(
      prepareLan(options),
      /--node-cidr 172\.30\.240\.0\/24: the machine has a route to 172\.30\.0\.0\/16 \(office\) there/,
    );
    assert.doesNotMatch(ip("link"), /sampan-lan/);
    ip("link", "delete", "office");
    await assert.rejects(
      prepareLan({ ...options, cidr: "10.96.5.0/24" }),
      /overlaps 10\.96\.0\.0\/16 of pods or Services/,
    );
    await assert.rejects(connectToLan({ index: 2, cidr, pid: 2 ** 22 }), /No such process[\s\S]*sampan-lan1/);
  });
}
