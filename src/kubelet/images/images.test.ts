import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { podOf } from "../core/testing.ts";
import { CriError, type CriClient } from "../cri/client.ts";
import { credentialsFor } from "./credentials.ts";
import { createImageGc } from "./image-gc.ts";
import { createImageManager, type ImageError } from "./image-manager.ts";

const secret = (auths: object) => ({
  data: { ".dockerconfigjson": Buffer.from(JSON.stringify({ auths })).toString("base64") },
});

test("credentials: the most specific place first, wildcards, Docker's hub by any of its names", () => {
  const auth = (user: string) => ({ auth: Buffer.from(`${user}:p:w`).toString("base64") });
  const secrets = [
    secret({
      "registry.example.com": auth("all"),
      "registry.example.com/team": auth("team"),
      "*.example.com": auth("any"),
    }),
    secret({ "https://index.docker.io/v1/": auth("hub") }),
    { data: { ".dockerconfigjson": "bm90IGpzb24=" } },
  ];
  const users = (image: string) => credentialsFor(image, secrets).map(({ username }) => username);
  assert.deepEqual(users("registry.example.com/team/app:1"), ["team", "all", "any"]);
  assert.deepEqual(users("registry.example.com/other"), ["all", "any"]);
  assert.deepEqual(users("busybox"), ["hub"]);
  assert.deepEqual(users("elsewhere.com/x"), []);
  assert.equal(credentialsFor("busybox", secrets)[0]?.password, "p:w");
});

/** A runtime with these images; pulls answer what `pull` says. */
function fakeCri(present: string[], pull: (image: string) => Promise<void> = async () => undefined) {
  const pulls: string[] = [];
  const image = {
    imageStatus: async ({ image: spec }: { image: { image: string } }) => ({
      image: present.includes(spec.image)
        ? { id: `id-${spec.image}`, username: "", size: 7, uid: { value: 0 } }
        : undefined,
    }),
    pullImage: async ({ image: spec }: { image: { image: string } }) => {
      pulls.push(spec.image);
      await pull(spec.image);
      present.push(spec.image);
      return { imageRef: spec.image };
    },
  };
  return { cri: { image } as unknown as CriClient, pulls };
}

function ensureWith({ cri }: { cri: CriClient }, clock: FakeClock) {
  const manager = createImageManager({ cri, clock });
  const events: string[] = [];
  const pod = podOf({ containers: ["a"] });
  return {
    events,
    ensure: (image: string, imagePullPolicy: string) =>
      manager
        .ensure({
          pod,
          container: { name: "a", image, imagePullPolicy },
          secrets: [],
          sandbox: {},
          signal: new AbortController().signal,
          event: (_type, reason, message) => events.push(`${reason}: ${message}`),
        })
        .then(
          ({ id }) => id,
          (error: ImageError) => error.reason,
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

test("garbage collection: unused and unpinned only, least recently used first", async () => {
  const removed: string[] = [];
  const images = ["used", "pinned", "imported", "old", "new"].map((name) => ({
    id: `sha256:${name}`,
    repoTags: [`demo/${name}:1`],
    repoDigests: [],
    size: 10,
    pinned: name === "pinned",
  }));
  let running = ["used", "new"];
  const cri = {
    image: {
      listImages: async () => ({ images }),
      imageFsInfo: async () => ({ imageFilesystems: [] }),
      removeImage: async ({ image }: { image: { image: string } }) => void removed.push(image.image),
    },
    runtime: {
      listContainers: async () => ({
        containers: running.map((name) => ({ imageRef: `sha256:${name}`, imageId: "", image: { image: "" } })),
      }),
    },
  } as unknown as CriClient; // what garbage collection calls
  const clock = new FakeClock();
  const gc = createImageGc({
    cri,
    clock,
    log: silentLogger,
    pinned: async () => new Set(["demo/imported:1"]),
    event: () => undefined,
  });
  assert.equal(await gc.collect(), 0);
  running = ["used"];
  clock.advance(300_000);
  assert.equal(await gc.collect({ all: true }), 20);
  assert.deepEqual(removed, ["sha256:old", "sha256:new"]);
});
