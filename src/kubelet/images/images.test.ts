import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { podOf } from "../core/testing.ts";
import { CriError, type CriClient } from "../cri/client.ts";
import { createImageGc } from "./image-gc.ts";
import { createImageManager, type ImageError, type ImageManagerOptions } from "./image-manager.ts";
import type { PullSecret } from "./keyring.ts";
import type { PullRecords } from "./pull-records.ts";

/** A runtime with these images; pulls answer what `pull` says. */
function fakeCri(present: string[], pull: (image: string, user?: string) => Promise<void> = async () => undefined) {
  const pulls: string[] = [];
  const image = {
    imageStatus: async ({ image: spec }: { image: { image: string } }) => ({
      image: present.includes(spec.image)
        ? { id: `id-${spec.image}`, username: "", size: 7, uid: { value: 0 } }
        : undefined,
    }),
    pullImage: async ({ image: spec, auth }: { image: { image: string }; auth?: { username: string } }) => {
      pulls.push(spec.image);
      await pull(spec.image, auth?.username);
      present.push(spec.image);
      return { imageRef: spec.image };
    },
  };
  return { cri: { image } as unknown as CriClient, pulls };
}

/** Every image is everybody's, unless it is in `theirs`. */
const recordsOf = (theirs: readonly string[] = []): PullRecords => ({
  mustPull: async (image) => theirs.includes(image),
  begin: async () => undefined,
  pulled: async () => undefined,
  failed: async () => undefined,
  prune: async () => undefined,
});

function ensureWith({ cri }: { cri: CriClient }, clock: FakeClock, more: Partial<ImageManagerOptions> = {}) {
  const manager = createImageManager({
    cri,
    clock,
    records: recordsOf(),
    nodeRing: async () => [],
    serializeImagePulls: false,
    maxParallelImagePulls: undefined,
    registryPullQPS: 0,
    registryBurst: 0,
    ...more,
  });
  const events: string[] = [];
  const pod = podOf({ containers: ["a"] });
  const messages: string[] = [];
  return {
    events,
    messages,
    ensure: (image: string, imagePullPolicy: string, secrets: readonly PullSecret[] = []) =>
      manager
        .ensure({
          pod,
          container: { name: "a", image, imagePullPolicy },
          secrets,
          sandbox: {},
          signal: new AbortController().signal,
          event: (_type, reason, message) => events.push(`${reason}: ${message}`),
        })
        .then(
          ({ id }) => id,
          (error: ImageError) => {
            messages.push(error.message);
            return error.reason;
          },
        ),
  };
}

test("pull policies: what is pulled, and what is said", async () => {
  const fake = fakeCri(["demo/one:1"]);
  const { ensure, events } = ensureWith(fake, new FakeClock());
  assert.equal(await ensure("demo/one:1", "IfNotPresent"), "id-demo/one:1");
  assert.equal(await ensure("demo/none:1", "Never"), "ErrImageNeverPull");
  assert.equal(await ensure("Demo/UPPER:1", "IfNotPresent"), "InvalidImageName");
  assert.deepEqual(events.splice(0), [
    'Pulled: Container image "demo/one:1" already present on machine',
    'ErrImageNeverPull: Container image "demo/none:1" is not present with pull policy of Never',
    'InspectFailed: Failed to apply default image tag "Demo/UPPER:1": couldn\'t parse image reference "Demo/UPPER:1": invalid reference format: repository name must be lowercase',
  ]);
  assert.equal(await ensure("demo/two", "IfNotPresent"), "id-demo/two:latest");
  assert.equal(await ensure("demo/one:1", "Always"), "id-demo/one:1");
  assert.deepEqual(fake.pulls, ["demo/two:latest", "demo/one:1"]);
});

test("failed pulls: back off, longer each time, and go on after", async () => {
  let works = false;
  const fake = fakeCri([], async () => {
    if (!works) throw new CriError("PullImage", "NOT_FOUND", "no such image");
  });
  const clock = new FakeClock();
  const { ensure, events } = ensureWith(fake, clock);
  const outcomes: string[] = [];
  for (const waitMs of [0, 5_000, 5_001, 10_000, 10_001]) {
    clock.advance(waitMs);
    outcomes.push(await ensure("demo/x:1", "IfNotPresent"));
  }
  assert.deepEqual(outcomes, ["ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff", "ErrImagePull"]);
  assert.ok(
    events.includes('Failed: Failed to pull image "demo/x:1": rpc error: code = NotFound desc = no such image'),
  );
  works = true;
  clock.advance(60_000);
  assert.equal(await ensure("demo/x:1", "IfNotPresent"), "id-demo/x:1");
});

test("failed pulls: what the runtime says becomes reason, message and event, now and while backing off", async () => {
  for (const [error, reason, message, event] of [
    [
      new CriError("PullImage", "UNKNOWN", "failed to resolve"),
      "ErrImagePull",
      "failed to resolve",
      'Failed to pull image "demo/x:1": failed to resolve',
    ],
    [
      new CriError("PullImage", "UNKNOWN", "RegistryUnavailable: try later"),
      "RegistryUnavailable",
      "image pull failed for demo/x:1 because the registry is unavailable: try later",
      'Failed to pull image "demo/x:1": RegistryUnavailable: try later',
    ],
    [
      new CriError("PullImage", "UNKNOWN", "SignatureValidationFailed"),
      "SignatureValidationFailed",
      "image pull failed for demo/x:1 because the signature validation failed",
      'Failed to pull image "demo/x:1": SignatureValidationFailed',
    ],
    [
      new CriError("PullImage", "NOT_FOUND", "gone"),
      "ErrImagePull",
      "rpc error: code = NotFound desc = gone",
      'Failed to pull image "demo/x:1": rpc error: code = NotFound desc = gone',
    ],
  ] as const) {
    const fake = fakeCri([], () => Promise.reject(error));
    const { ensure, events, messages } = ensureWith(fake, new FakeClock());
    assert.equal(await ensure("demo/x:1", "IfNotPresent"), reason);
    assert.equal(await ensure("demo/x:1", "IfNotPresent"), "ImagePullBackOff");
    assert.deepEqual(messages, [message, `Back-off pulling image "demo/x:1": ${reason}: ${message}`]);
    assert.deepEqual(events, [
      'Pulling: Pulling image "demo/x:1"',
      `Failed: ${event}`,
      'BackOff: Back-off pulling image "demo/x:1"',
    ]);
  }
});

test("failed pulls: a back-off outlives a pull that works, and is over after twice its longest time", async () => {
  const clock = new FakeClock();
  let works = false;
  const fake = fakeCri([], () => (works ? Promise.resolve() : Promise.reject(new Error("no"))));
  const { ensure } = ensureWith(fake, clock);
  const waits = async () => {
    await ensure("x", "Always");
    let waitedMs = 0;
    while ((await ensure("x", "Always")) === "ImagePullBackOff") {
      clock.advance(1_000);
      waitedMs += 1_000;
    }
    return waitedMs;
  };
  const first = await waits();
  works = true;
  clock.advance(20_000);
  assert.equal(await ensure("x", "Always"), "id-x:latest");
  works = false;
  // The failure that ended the first wait counted, too.
  assert.deepEqual([first, await waits()], [10_000, 40_000]);
  clock.advance(600_001);
  assert.equal(await waits(), 10_000);
});

const entry = (user: string) => ({ auth: Buffer.from(`${user}:p`).toString("base64") });
const secretOf = (auths: object): PullSecret => ({
  type: "kubernetes.io/dockerconfigjson",
  data: { ".dockerconfigjson": Buffer.from(JSON.stringify({ auths })).toString("base64") },
});

test("credentials: all that fit are tried: the pod's, the node's, the programs'; what each was told is in the error", async () => {
  const users: (string | undefined)[] = [];
  const fake = fakeCri([], async (_, user) => {
    users.push(user);
    throw new Error(`not ${user}`);
  });
  const ring = (username: string) => [{ config: { "a.io": { username, password: "p" } } }];
  const { ensure, messages } = ensureWith(fake, new FakeClock(), {
    nodeRing: async () => ring("node"),
    pluginRing: async (image, { serviceAccount }) =>
      image === "a.io/x" && serviceAccount === "" ? ring("plugin") : [],
  });
  await ensure("a.io/x:1", "Always", [secretOf({ "a.io": entry("one"), "a.io/x": entry("two"), "b.io": entry("b") })]);
  assert.deepEqual(users, ["two", "one", "node", "plugin"]);
  assert.equal(messages[0], "[not two, not one, not node, not plugin]");
});

test("credentials: a pull secret that can't be read is the reason itself", async () => {
  const { ensure } = ensureWith(fakeCri([]), new FakeClock());
  assert.equal(
    await ensure("x", "Always", [secretOf({ "a.io": { auth: "bW!6" } })]),
    "illegal base64 data at input byte 2",
  );
});

test("pull policies: an image that somebody else's password brought is pulled again, or not there", async () => {
  const fake = fakeCri(["demo/one:1"]);
  const { ensure, events } = ensureWith(fake, new FakeClock(), { records: recordsOf(["demo/one:1"]) });
  assert.equal(await ensure("demo/one:1", "Never"), "ErrImageNeverPull");
  assert.equal(await ensure("demo/one:1", "IfNotPresent"), "id-demo/one:1");
  assert.deepEqual(fake.pulls, ["demo/one:1"]);
  assert.deepEqual(events.slice(0, 2), [
    'ErrImageNeverPull: Container image "demo/one:1" is not present with pull policy of Never',
    'Pulling: Pulling image "demo/one:1"',
  ]);
});

for (const [what, config, most] of [
  ["one at a time", { serializeImagePulls: true }, 1],
  ["a few at a time", { maxParallelImagePulls: 3 }, 3],
  ["all at once", {}, 5],
] as const)
  test(`pulls: ${what}`, async () => {
    let [running, seen] = [0, 0];
    const fake = fakeCri([], async () => {
      seen = Math.max(seen, ++running);
      await new Promise(setImmediate);
      running--;
    });
    const { ensure } = ensureWith(fake, new FakeClock(), config);
    await Promise.all(["a", "b", "c", "d", "e"].map((image) => ensure(image, "Always")));
    assert.deepEqual([seen, fake.pulls.length], [most, 5]);
  });

test("pulls: more in a second than the registry should see are refused; those of one image are one", async () => {
  const clock = new FakeClock();
  const fake = fakeCri([]);
  const { ensure, messages } = ensureWith(fake, clock, { registryPullQPS: 1, registryBurst: 2 });
  await Promise.all([ensure("a", "Always"), ensure("a", "Always")]);
  const all = await Promise.all(["b", "c"].map((image) => ensure(image, "Always")));
  assert.deepEqual([all, messages], [["id-b:latest", "ErrImagePull"], ["pull QPS exceeded"]]);
  clock.advance(1_000);
  assert.equal(await ensure("d", "Always"), "id-d:latest");
});

interface GcImage {
  readonly name: string;
  readonly pinned?: boolean;
}

/** A disk of 1000 bytes below `folder`'s real one can't be had: what `statfs` says is given by the runtime's mount point. */
function gcWith(images: readonly GcImage[], config: Partial<Parameters<typeof createImageGc>[0]["config"]> = {}) {
  const removed: string[] = [];
  const events: string[] = [];
  const pruned: (readonly string[])[] = [];
  const running = new Set<string>();
  const mounted = new Set<string>();
  const left = new Set(images.map(({ name }) => name));
  const cri = {
    image: {
      listImages: async () => ({
        images: images
          .filter(({ name }) => left.has(name))
          .map(({ name, pinned = false }) => ({
            id: name,
            repoTags: [`demo/${name}:1`],
            repoDigests: [],
            size: 10,
            pinned,
          })),
      }),
      imageFsInfo: async () => ({ imageFilesystems: [{ fsId: { mountpoint: "/" } }] }),
      removeImage: async ({ image }: { image: { image: string } }) => {
        if (image.image === "stuck") throw new Error("in use");
        removed.push(image.image);
        left.delete(image.image);
      },
    },
    runtime: {
      listContainers: async () => ({
        containers: [...running].map((name) => ({ imageRef: name, imageId: "", image: { image: "" } })),
      }),
    },
  } as unknown as CriClient; // what garbage collection calls
  const clock = new FakeClock();
  const gc = createImageGc({
    cri,
    clock,
    log: silentLogger,
    config: {
      imageGCHighThresholdPercent: 100,
      imageGCLowThresholdPercent: 80,
      imageMinimumGCAge: 120_000,
      imageMaximumGCAge: 0,
      ...config,
    },
    pinned: async () => new Set(["demo/imported:1"]),
    mounted: () => mounted,
    event: (_type, reason, message) => events.push(`${reason}: ${message}`),
    onCollected: async (names) => void pruned.push(names),
  });
  return { gc, clock, removed, events, pruned, running, mounted };
}

const named = (...names: string[]) => names.map((name) => ({ name }));
/** Below any real disk's use, so that every collection has to free something. */
const always = { imageGCHighThresholdPercent: 0, imageGCLowThresholdPercent: 0 };

test("image garbage collection: unused and unpinned only, least recently used first, none that is young", async () => {
  const images = [...named("used", "mounted", "imported", "old", "new"), { name: "pinned", pinned: true }];
  const { gc, clock, removed, running, mounted, pruned } = gcWith(images);
  for (const name of ["used", "new"]) running.add(name);
  mounted.add("demo/mounted:1");
  assert.equal(await gc.collect({ all: true }), 0, "seen just now");
  running.delete("new");
  clock.advance(120_000);
  assert.equal(await gc.collect({ all: true }), 20);
  assert.deepEqual(removed, ["old", "new"]);
  assert.deepEqual(pruned.at(-1), ["used", "mounted", "imported", "pinned"]);
});

test("image garbage collection: below the high mark nothing goes; what can't be freed is told", async () => {
  const { gc, clock, removed } = gcWith(named("a"));
  await gc.collect({ all: true });
  clock.advance(120_000);
  assert.equal(await gc.collect(), 0);
  assert.deepEqual(removed, []);
  const full = gcWith(named("a", "b"), always);
  await full.gc.collect({ all: true });
  full.clock.advance(120_000);
  await assert.rejects(
    full.gc.collect(),
    /^Error: Insufficient free disk space on the node's image filesystem \(\d+% of [\d.]+ .iB used\)\. Failed to free sufficient space by deleting unused images \(freed 20 bytes\)\. Investigate disk usage, as it could be used by active images, logs, volumes, or other data\.$/,
  );
  assert.match(full.events.join(), /^FreeDiskSpaceFailed: Insufficient/);
  assert.deepEqual(full.removed, ["a", "b"]);
});

test("image garbage collection: what was unused for too long goes, once this node runs for as long", async () => {
  const { gc, clock, removed, running } = gcWith(named("used", "old"), { imageMaximumGCAge: 3_600_000 });
  running.add("used").add("old");
  await gc.collect();
  running.delete("old");
  clock.advance(3_600_000);
  await gc.collect();
  assert.deepEqual(removed, []);
  clock.advance(1);
  await gc.collect();
  assert.deepEqual(removed, ["old"]);
});

test("image garbage collection: an image that can't be removed doesn't stop it; failures in a row are an event", async () => {
  const { gc, clock, removed, events } = gcWith(named("stuck", "a"), always);
  const stop = new AbortController();
  const done = gc.run(stop.signal);
  while (!events.some((one) => one.startsWith("ImageGCFailed"))) {
    clock.advance(300_000);
    await new Promise(setImmediate);
  }
  stop.abort();
  await done;
  assert.deepEqual(removed, ["a"]);
  assert.match(
    events.join(),
    /ImageGCFailed: wanted to free \d+ bytes, but freed 0 bytes space with errors in image deletion: in use/,
  );
});
