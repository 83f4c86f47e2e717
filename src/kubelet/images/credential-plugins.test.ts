import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { FakeClock, silentLogger } from "#base";
import type { Client } from "#client";
import { loadCredentialPlugins } from "./credential-plugins.ts";
import { readCredentialProviders } from "./credential-provider-config.ts";

const pod = { namespace: "n", name: "p", uid: "pod-uid", serviceAccount: "sa" };

/** A program that appends what it was asked to `asked`, and answers what stands in `answer`. */
async function setUp(t: TestContext, provider: object = {}) {
  const folder = await mkdtemp(join(tmpdir(), "credential-plugins-"));
  t.after(() => rm(folder, { recursive: true }));
  const program = join(folder, "bin", "helper");
  await mkdir(join(folder, "bin"));
  await writeFile(
    program,
    `#!/bin/sh\ncat >> ${folder}/asked\necho "$1 $COLOR" >> ${folder}/args\n. ${folder}/answer\n`,
  );
  await chmod(program, 0o755);
  const one = {
    name: "helper",
    matchImages: ["*.example.com", "a.io:5000/team"],
    defaultCacheDuration: "10m",
    apiVersion: "credentialprovider.kubelet.k8s.io/v1",
    args: ["get"],
    env: [{ name: "COLOR", value: "red" }],
    ...provider,
  };
  const configFile = join(folder, "config.json");
  const config = { apiVersion: "kubelet.config.k8s.io/v1", kind: "CredentialProviderConfig", providers: [one] };
  await writeFile(configFile, JSON.stringify(config));
  const clock = new FakeClock();
  const tokens: unknown[] = [];
  const client = {
    resource: () => ({
      get: async () => ({ metadata: { uid: "sa-uid", annotations: { "a/role": "reader" } } }),
      createSubresource: async (_name: string, _sub: string, request: unknown) => {
        tokens.push(request);
        return { status: { token: `token-${tokens.length}` } };
      },
    }),
  } as unknown as Client; // what service accounts are asked with
  const plugins = await loadCredentialPlugins(
    { configFile, binDir: join(folder, "bin") },
    { client, clock, log: silentLogger },
  );
  const answer = (value: object, script = "") =>
    writeFile(
      join(folder, "answer"),
      `${script}\ncat <<'END'\n${JSON.stringify({ apiVersion: one.apiVersion, kind: "CredentialProviderResponse", ...value })}\nEND\n`,
    );
  const asked = async () =>
    (await readFile(join(folder, "asked"), "utf8").catch(() => ""))
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  return { plugins, answer, asked, clock, tokens, args: () => readFile(join(folder, "args"), "utf8") };
}

const auth = { "a.example.com": { username: "u", password: "p" } };

test("credential provider: asked for its images only, kept as long and as wide as it says", async (t) => {
  const { plugins, answer, asked, clock, args } = await setUp(t);
  await answer({ cacheKeyType: "Registry", cacheDuration: "1m", auth });
  const [ring] = await plugins.ring("a.example.com/x", pod);
  assert.deepEqual(ring, { source: undefined, config: auth });
  assert.deepEqual(await asked(), [
    { kind: "CredentialProviderRequest", apiVersion: "credentialprovider.kubelet.k8s.io/v1", image: "a.example.com/x" },
  ]);
  assert.equal(await args(), "get red\n");
  await plugins.ring("a.example.com/y", pod);
  assert.deepEqual(await plugins.ring("elsewhere.com/x", pod), []);
  assert.equal((await asked()).length, 1);
  await plugins.ring("b.example.com/y", pod);
  assert.equal((await asked()).length, 2);
  clock.advance(60_001);
  await plugins.ring("a.example.com/y", pod);
  assert.equal((await asked()).length, 3);
});

for (const [what, response, runs] of [
  ["Image", { cacheKeyType: "Image" }, 2],
  ["Global", { cacheKeyType: "Global" }, 1],
  ["no time at all", { cacheKeyType: "Global", cacheDuration: "0s" }, 2],
] as const)
  test(`credential provider: kept for ${what}`, async (t) => {
    const { plugins, answer, asked } = await setUp(t);
    await answer({ ...response, auth });
    await plugins.ring("a.example.com/x", pod);
    await plugins.ring("b.example.com/x", pod);
    assert.equal((await asked()).length, runs);
  });

for (const [what, response, script] of [
  ["another version", { apiVersion: "credentialprovider.kubelet.k8s.io/v1beta1", cacheKeyType: "Image", auth }, ""],
  ["another kind", { kind: "Other", cacheKeyType: "Image", auth }, ""],
  ["no cache key", { auth }, ""],
  ["a failure", { cacheKeyType: "Image", auth }, "exit 3"],
  ["something that is no JSON", { cacheKeyType: "Image", auth }, "echo hello"],
] as const)
  test(`credential provider: ${what} gives no password`, async (t) => {
    const { plugins, answer } = await setUp(t);
    await answer(response, script);
    assert.deepEqual(await plugins.ring("a.example.com/x", pod), []);
  });

const tokenAttributes = {
  serviceAccountTokenAudience: "registry",
  cacheType: "ServiceAccount",
  requireServiceAccount: true,
  requiredServiceAccountAnnotationKeys: ["a/role"],
};

test("credential provider: gets a token of the pod's service account, and its answer belongs to that account", async (t) => {
  const { plugins, answer, asked, tokens } = await setUp(t, { tokenAttributes });
  await answer({ cacheKeyType: "Registry", auth });
  const [ring] = await plugins.ring("a.example.com/x", pod);
  assert.deepEqual(ring?.source, { serviceAccount: { uid: "sa-uid", namespace: "n", name: "sa" } });
  const [request] = await asked();
  assert.equal(request.serviceAccountToken, "token-1");
  assert.deepEqual(request.serviceAccountAnnotations, { "a/role": "reader" });
  assert.deepEqual((tokens[0] as { spec: unknown }).spec, {
    audiences: ["registry"],
    boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p", uid: "pod-uid" },
  });
  await plugins.ring("a.example.com/y", { ...pod, name: "q", uid: "q" });
  assert.equal((await asked()).length, 1, "the same account");
  await plugins.ring("a.example.com/y", { ...pod, namespace: "m" });
  assert.equal((await asked()).length, 2, "another account");
  assert.deepEqual(await plugins.ring("a.example.com/x", { ...pod, serviceAccount: "" }), []);
});

test("credential provider: an account without the required annotation is left out; a token is no password, unless kept by token", async (t) => {
  const out = await setUp(t, {
    tokenAttributes: { ...tokenAttributes, requiredServiceAccountAnnotationKeys: ["b/c"] },
  });
  await out.answer({ cacheKeyType: "Image", auth });
  assert.deepEqual(await out.plugins.ring("a.example.com/x", pod), []);
  const echo = await setUp(t, { tokenAttributes });
  await echo.answer({ cacheKeyType: "Image", auth: { "a.example.com": { username: "u", password: "token-1" } } });
  assert.deepEqual(await echo.plugins.ring("a.example.com/x", pod), []);
  const byToken = await setUp(t, { tokenAttributes: { ...tokenAttributes, cacheType: "Token" } });
  await byToken.answer({ cacheKeyType: "Image", auth: { "a.example.com": { username: "u", password: "token-1" } } });
  assert.equal((await byToken.plugins.ring("a.example.com/x", pod)).length, 1);
  await byToken.plugins.ring("a.example.com/x", pod);
  assert.equal((await byToken.asked()).length, 2, "another token");
});

test("credential provider configuration: what is wrong is said in upstream's words", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "credential-config-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "config.yaml");
  const good = {
    name: "x",
    matchImages: ["a.io"],
    defaultCacheDuration: "1m",
    apiVersion: "credentialprovider.kubelet.k8s.io/v1",
  };
  const read = async (providers: object[], apiVersion = "kubelet.config.k8s.io/v1") => {
    await writeFile(file, JSON.stringify({ apiVersion, kind: "CredentialProviderConfig", providers }));
    return readCredentialProviders(file, folder).then(
      () => "fine",
      (error: Error) => error.message.replace("failed to validate credential provider config: ", ""),
    );
  };
  for (const [providers, message] of [
    [[], "providers: Required value: at least 1 item in plugins is required"],
    [[{ ...good, name: "a/b" }], "providers.name: Invalid value: \"a/b\": provider name cannot contain '/'"],
    [[{ ...good, name: ".." }], "providers.name: Invalid value: \"..\": provider name cannot be '..'"],
    [
      [{ ...good, matchImages: [] }],
      "providers.matchImages: Required value: at least 1 item in matchImages is required",
    ],
    [[{ ...good, defaultCacheDuration: undefined }], "providers.defaultCacheDuration: Required value"],
    [
      [{ ...good, defaultCacheDuration: "-1m" }],
      /^providers.defaultCacheDuration: Invalid value: .*must be greater than or equal to 0$/,
    ],
    [
      [{ ...good, apiVersion: "v9" }],
      'providers.apiVersion: Unsupported value: "v9": supported values: "credentialprovider.kubelet.k8s.io/v1", "credentialprovider.kubelet.k8s.io/v1alpha1", "credentialprovider.kubelet.k8s.io/v1beta1"',
    ],
    [
      [{ ...good, tokenAttributes: { ...tokenAttributes, cacheType: undefined } }],
      "providers.tokenAttributes.cacheType: Required value: cacheType is required to be set when tokenAttributes is specified. Supported values are: ServiceAccount, Token",
    ],
    [
      [{ ...good, tokenAttributes: { ...tokenAttributes, requireServiceAccount: false } }],
      "providers.tokenAttributes.requiredServiceAccountAnnotationKeys: Forbidden: requireServiceAccount cannot be false when requiredServiceAccountAnnotationKeys is set",
    ],
    [[good, good], 'duplicate provider name "x" found in configuration file(s)'],
    [[{ ...good, color: "red" }], /strict decoding error: unknown field "providers\[0\]\.color"$/],
    [[good], `plugin binary executable ${folder}/x did not exist`],
  ] as const) {
    const said = await read([...providers]);
    if (typeof message === "string") assert.equal(said, message);
    else assert.match(said, message);
  }
  assert.match(await read([good], "v1"), /no kind "CredentialProviderConfig" is registered for version "v1"/);
  await assert.rejects(readCredentialProviders(file, join(folder, "none")), {
    message: `plugin binary directory ${folder}/none did not exist`,
  });
});
