import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFlags } from "#base";
import { ingressFlags, readIngressFlags } from "./ingress-flags.ts";

test("ingress flags: ports, and proxies that are trusted", () => {
  const read = (...args: string[]) => readIngressFlags(parseFlags(ingressFlags, { args, env: {} }).values);
  assert.deepEqual(read(), { ports: { http: 80, https: 443 }, trustedProxies: [] });
  const given = read("--ingress-http-port=0", "--ingress-trusted-proxies=10.0.0.0/8,2001:db8::1");
  assert.deepEqual(given, { ports: { http: 0, https: 443 }, trustedProxies: ["10.0.0.0/8", "2001:db8::1"] });
  for (const bad of ["10.0.0.0/33", "x", "10.0.0.0/8/9", "::1/129", "10.0.0.0/"])
    assert.throws(() => read(`--ingress-trusted-proxies=${bad}`), /want an address or a range/, bad);
  assert.throws(() => read("--ingress-http-port=65536"));
});
