/** The controller against a real API server, with the rights that its role gives and no others. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import net from "node:net";
import { after, before, suite, test } from "node:test";
import type { Ingress } from "#api";
import { selfSignedPair } from "#apiserver";
import { createLogger, realClock } from "#base";
import { createInformers, type Informer } from "#client";
import type { DeepReadonly } from "#machinery";
import { type Cluster, startCluster } from "#testing";
import { controllerName } from "./claim.ts";
import { runIngress } from "./controller.ts";

suite("controller", () => {
  let cluster: Cluster;
  let ingresses: Informer<Ingress>;
  const life = new AbortController();
  let following: Promise<void>;
  const logged: string[] = [];
  const log = createLogger({ write: (line) => logged.push(line), level: "warn" });
  before(async () => {
    cluster = await startCluster({ controllers: false });
    const informers = createInformers(cluster.client);
    ingresses = informers.of("networking.k8s.io/v1/ingresses");
    following = informers.run(life.signal);
    await cluster.client.resource("networking.k8s.io/v1/ingressclasses").create({
      metadata: { name: "mine", annotations: { "ingressclass.kubernetes.io/is-default-class": "true" } },
      spec: { controller: controllerName },
    });
  });
  after(async () => {
    life.abort();
    await following;
    await cluster?.close();
  });

  interface Instance {
    /** The port it listens on by HTTP, as soon as it does. */
    readonly listening: Promise<number>;
    stop(): Promise<void>;
  }
  function start(identity: string, { port = -1, address = "192.0.2.1" } = {}): Instance {
    const stop = new AbortController();
    const { promise, resolve } = Promise.withResolvers<number>();
    const running = runIngress(
      {
        client: cluster.clientFor({ name: "system:ingress" }),
        ports: { http: port, https: 0 },
        host: "127.0.0.1",
        addresses: [address],
        identity,
        makeCertificate: async () => {
          const { certificate: cert, key } = await selfSignedPair("own.example", Date.now());
          return { cert, key };
        },
        clock: realClock,
        log,
        onListening: ({ http: open }) => open !== undefined && resolve(open),
      },
      stop.signal,
    );
    return {
      listening: promise,
      stop() {
        stop.abort();
        return running;
      },
    };
  }
  const resource = () => cluster.client.resource("networking.k8s.io/v1/ingresses", "default");
  const create = (name: string, ingressClassName?: string) =>
    resource().create({
      metadata: { name },
      spec: {
        ...(ingressClassName !== undefined && { ingressClassName }),
        defaultBackend: { service: { name: "missing", port: { number: 80 } } },
      },
    });
  const pointsOf = (ingress: DeepReadonly<Ingress> | undefined) =>
    (ingress?.status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname).join();
  function shows(name: string, wanted: string): Promise<void> {
    return new Promise((resolve) => {
      const look = (ingress: DeepReadonly<Ingress>) => {
        if (ingress.metadata.name === name && pointsOf(ingress) === wanted) resolve();
      };
      life.signal.addEventListener("abort", ingresses.addHandler({ added: look, updated: look }), { once: true });
    });
  }

  test("status: where it is served, for those of our class, as long as they are", async () => {
    const one = start("one");
    await create("default");
    await create("other", "other");
    await shows("default", "192.0.2.1");
    const request = http.get({ port: await one.listening, host: "127.0.0.1" });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.resume();
    assert.equal(response.statusCode, 503);
    await create("moved", "mine");
    await shows("moved", "192.0.2.1");
    await resource().patch("moved", { spec: { ingressClassName: "other" } }, { type: "merge" });
    await shows("moved", "");
    assert.equal(pointsOf(ingresses.get("default/other")), "");
    await one.stop();
    await shows("default", "");
  });

  test("several instances: all of their addresses, told by one; who leaves takes its own away", async () => {
    const first = start("b", { address: "192.0.2.1" });
    await first.listening;
    await shows("default", "192.0.2.1");
    const second = start("a", { address: "lb.example" });
    await shows("default", "192.0.2.1,lb.example");
    await first.stop();
    await shows("default", "lb.example");
    await second.stop();
    await shows("default", "");
  });

  test("ports: one that is taken is told in an event, and tried again with the next change", async () => {
    const other = net.createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as net.AddressInfo;
    const told = new Promise<string>((resolve) => {
      const informers = createInformers(cluster.client);
      const events = informers.of("v1/events");
      void informers.run(life.signal);
      events.addHandler({ added: ({ reason, message }) => reason === "PortUnavailable" && resolve(message ?? "") });
    });
    const instance = start("ports", { port });
    assert.match(await told, new RegExp(`^port ${port} can't be listened on: .*EADDRINUSE`));
    assert.equal(pointsOf(ingresses.get("default/default")), "", "it isn't served anywhere");
    other.close();
    await once(other, "close");
    await resource().patch("default", { metadata: { annotations: { touched: "yes" } } }, { type: "merge" });
    assert.equal(await instance.listening, port);
    await shows("default", "192.0.2.1");
    await instance.stop();
  });

  test("the last Ingress takes the port with it, the next one brings it back; nothing was forbidden", async () => {
    const instance = start("last");
    const port = await instance.listening;
    const socket = net.connect(port, "127.0.0.1");
    await once(socket, "connect");
    const closed = once(socket.resume(), "close");
    await resource().delete("default");
    await closed;
    const refused = once(net.connect(port, "127.0.0.1"), "connect");
    await assert.rejects(refused, /ECONNREFUSED/);
    await create("again");
    await shows("again", "192.0.2.1");
    await instance.stop();
    assert.deepEqual(
      logged.filter((line) => !line.includes("a port can't be opened")),
      [],
    );
  });
});
