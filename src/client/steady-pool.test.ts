import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http2, { type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { openPki, type Pki } from "#apiserver";
import type { WatchEvent } from "#machinery";
import { scaledClock } from "#testing";
import { createHttpsTransport } from "./https-transport.ts";

/** What takes seconds passes in tenths. */
const speed = 10;

suite("steady transport", () => {
  let folder: string;
  let pki: Pki;
  const closers: (() => void)[] = [];
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "steady-"));
    pki = await openPki({ directory: folder, now: Date.now(), serverNames: [], serverAddresses: ["127.0.0.1"] });
  });
  after(async () => {
    for (const close of closers.reverse()) close();
    await rm(folder, { recursive: true });
  });

  /** Answers its name, and watches with one event; tells how many watches it has had. */
  async function startServer(name: string, at = 0) {
    const { certificate, key } = pki.server;
    const server = http2.createSecureServer({ cert: certificate, key });
    let watches = 0;
    const seen = new Set<() => void>();
    server.on("session", (session) => {
      closers.push(() => session.destroy());
      session.on("error", () => undefined);
    });
    server.on("stream", (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
      stream.on("error", () => undefined);
      stream.respond({ ":status": 200, "content-type": "application/json" });
      if (!headers[":path"]?.includes("watch")) return stream.end(JSON.stringify({ name }));
      watches++;
      stream.write(`${JSON.stringify({ type: "ADDED", object: { name, number: watches } })}\n`);
      for (const look of seen) look();
    });
    server.listen(at, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    return { server, port: (server.address() as AddressInfo).port }; // a TCP server
  }

  /** A cable to a server. Cut, it says nothing to either side, and takes nobody new. */
  async function startCable(port: number) {
    const pairs = new Set<readonly [Socket, Socket]>();
    let isCut = false;
    const relay = createServer((near) => {
      if (isCut) return near.destroy();
      const far = connect(port, "127.0.0.1");
      pairs.add([near, far]);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const)
        one
          .on("data", (chunk) => other.write(chunk))
          .on("error", () => undefined)
          .on("close", () => other.destroy());
    });
    relay.listen(0, "127.0.0.1");
    await once(relay, "listening");
    closers.push(() => {
      relay.close();
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    });
    return {
      port: (relay.address() as AddressInfo).port, // a TCP server
      cut() {
        isCut = true;
        for (const pair of pairs) for (const socket of pair) socket.pause();
      },
      /** For new ones: those of before wait for a packet that is sent again too late. */
      mend() {
        isCut = false;
      },
    };
  }

  function open(port: number, ...others: number[]) {
    const failures: (string | undefined)[] = [];
    const told = Promise.withResolvers<void>();
    const onReach = (failure: Error | undefined) => {
      failures.push(failure && "failed");
      told.resolve();
    };
    const servers = others.map((each) => `https://127.0.0.1:${each}`);
    const transport = createHttpsTransport({
      ...{ server: `https://127.0.0.1:${port}`, ca: pki.authority.certificate, clock: scaledClock(speed) },
      steady: { servers, onReach },
    });
    closers.push(() => transport.close());
    return { transport, failures, told: told.promise };
  }

  /** One watch after the other, as a reflector does; resolves with the event that is wanted. */
  function watchUntil(transport: ReturnType<typeof open>["transport"], isWanted: (event: WatchEvent) => boolean) {
    const stop = new AbortController();
    const found = Promise.withResolvers<WatchEvent>();
    const failed = (async () => {
      while (!stop.signal.aborted)
        await transport.watch({ method: "GET", path: "/x", query: { watch: true }, signal: stop.signal }, (event) => {
          if (isWanted(event)) found.resolve(event);
        });
    })();
    return Promise.race([found.promise, failed.then(() => found.promise)]).finally(() => stop.abort());
  }
  const numbered = (number: number) => (event: WatchEvent) => (event.object as { number: number }).number === number; // our own events

  test("steady transport: a watch whose server fell silent goes on over another connection once there is one", async () => {
    const { port } = await startServer("a");
    const cable = await startCable(port);
    const { transport, failures, told } = open(cable.port);
    const second = watchUntil(transport, (event) => {
      if (numbered(1)(event)) cable.cut();
      return numbered(2)(event);
    });
    await told;
    cable.mend();
    await second;
    assert.deepEqual(failures, ["failed", undefined]);
  });

  test("steady transport: when its server ends, the next one is asked, and requests wait for it", async () => {
    const cables = {
      a: await startCable((await startServer("a")).port),
      b: await startCable((await startServer("b")).port),
    };
    const { transport } = open(cables.a.port, cables.b.port);
    const nameNow = async () =>
      ((await transport.request({ method: "GET", path: "/x" })) as { name: keyof typeof cables }).name; // our own answer
    const first = await nameNow();
    await watchUntil(transport, ({ object }) => {
      const { name } = object as { name: string }; // our own events
      if (name === first) cables[first].cut();
      return name !== first;
    });
    assert.notEqual(await nameNow(), first);
  });

  test("steady transport: a request that nobody takes fails in time, a watch waits until it is called off", async () => {
    const { port, server } = await startServer("a");
    server.close();
    await once(server, "close");
    const { transport } = open(port);
    await assert.rejects(transport.request({ method: "GET", path: "/x" }), { code: "ECONNREFUSED" });
    const stop = new AbortController();
    const watching = transport.watch(
      { method: "GET", path: "/x", query: { watch: true }, signal: stop.signal },
      () => undefined,
    );
    stop.abort();
    await watching;
  });
});
