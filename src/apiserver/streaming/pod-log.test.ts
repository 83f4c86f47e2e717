import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { after, before, beforeEach, describe, test } from "node:test";
import { pods, startTestbed, type Testbed, textOf } from "./testbed.ts";

let bed: Testbed;
before(async () => {
  bed = await startTestbed();
});
after(() => bed.close());
beforeEach(() => bed.reset());

describe("logs", () => {
  test("the kubelet's bytes, asked for with its own words", async () => {
    bed.kubelet.answer = (_request, response) => void response.end("line 1\nline 2\n");
    const query =
      "follow=true&previous=1&timestamps=true&tailLines=5&limitBytes=9&sinceTime=2026-01-31T10:00:00Z&stream=All";
    const answer = await bed.ask(`${pods}/one/log?${query}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-type"], "text/plain");
    assert.equal(answer.text, "line 1\nline 2\n");
    const url = new URL(bed.kubelet.requests[0]?.url ?? "", "https://n1");
    assert.equal(url.pathname, "/containerLogs/default/one/c");
    assert.deepEqual(Object.fromEntries(url.searchParams), {
      follow: "true",
      previous: "true",
      timestamps: "true",
      tailLines: "5",
      limitBytes: "9",
      sinceTime: "2026-01-31T10:00:00Z",
    });
  });

  test("HTTP/2: the same, as it comes", async () => {
    const more = Promise.withResolvers<void>();
    bed.kubelet.answer = (_request, response) => {
      response.write("first\n");
      void more.promise.then(() => response.end("second\n"));
    };
    const session = connectHttp2(`https://127.0.0.1:${bed.port}`, { rejectUnauthorized: false });
    const stream = session.request({ ":path": `${pods}/one/log?follow=true`, authorization: "Bearer admin" });
    const [first] = await once(stream, "data");
    assert.equal(String(first), "first\n");
    more.resolve();
    assert.equal(await textOf(stream), "second\n");
    session.close();
  });

  test("a client that goes ends the kubelet's answer", async () => {
    const gone = Promise.withResolvers<void>();
    bed.kubelet.answer = (_request, response) => {
      response.write("first\n");
      response.once("close", gone.resolve);
    };
    const request = httpsRequest(bed.options(`${pods}/one/log?follow=true`));
    request.on("error", () => undefined);
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.on("error", () => undefined);
    await once(response, "data");
    request.destroy();
    await gone.promise;
  });

  test("a kubelet that breaks in the middle doesn't look like the end", async () => {
    bed.kubelet.answer = (request, response) => {
      response.write("first\n");
      response.once("drain", () => undefined);
      setImmediate(() => request.socket.destroy());
    };
    await assert.rejects(bed.ask(`${pods}/one/log`), { code: "ECONNRESET" });
  });

  const refusals: readonly [path: string, status: number, message: string][] = [
    ["none/log", 404, 'pods "none" not found'],
    ["two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"],
    ["one/log?container=z", 400, "container z is not valid for pod one"],
    ["lost/log", 404, 'pods "none" not found'],
    [
      "one/log?tailLines=-1&sinceSeconds=0&limitBytes=0",
      422,
      'PodLogOptions "one" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: Invalid value: 0: must be greater than 0]',
    ],
    [
      "one/log?sinceSeconds=1&sinceTime=2026-01-01T00%3A00%3A00Z",
      422,
      'PodLogOptions "one" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    ],
    [
      "one/log?stream=x",
      422,
      'PodLogOptions "one" is invalid: stream: Unsupported value: "x": supported values: "All", "Stderr", "Stdout"',
    ],
    ["one/log?tailLines=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'],
  ];
  for (const [path, status, message] of refusals) {
    test(`refused: ${path}`, async () => {
      const answer = await bed.ask(`${pods}/${path}`);
      assert.equal(answer.message, message);
      assert.equal(answer.status, status);
    });
  }

  test("a pod that is nowhere yet has an empty log", async () => {
    const answer = await bed.ask(`${pods}/nowhere/log`);
    assert.deepEqual([answer.status, answer.text], [204, ""]);
  });

  test("what the kubelet refuses is told", async () => {
    const cases: readonly [number, string, string][] = [
      [400, "is waiting to start", "is waiting to start"],
      [404, "no such pod", "the server could not find the requested resource"],
      [500, "broken", "Internal error occurred: broken"],
    ];
    for (const [status, text, message] of cases) {
      bed.kubelet.answer = (_request, response) => void response.writeHead(status).end(text);
      const answer = await bed.ask(`${pods}/one/log`);
      assert.deepEqual([answer.status, answer.message], [status, message]);
    }
  });

  test("over a WebSocket: bytes, or base64", async () => {
    bed.kubelet.answer = (_request, response) => void response.end("a log");
    for (const [protocol, expected] of [
      ["binary.k8s.io", ["", "a log"]],
      ["base64.binary.k8s.io", ["", Buffer.from("a log").toString("base64")]],
    ] as const) {
      const socket = bed.open(`${pods}/one/log`, [protocol]);
      const messages: string[] = [];
      socket.on("message", (message) => messages.push(String(message)));
      await once(socket, "close");
      assert.equal(socket.protocol, protocol);
      assert.deepEqual(messages, expected);
    }
  });
});
