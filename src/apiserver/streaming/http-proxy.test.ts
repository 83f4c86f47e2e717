import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpsRequest } from "node:https";
import { after, before, beforeEach, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { pods, startTestbed, type Testbed, textOf } from "./testbed.ts";

let bed: Testbed;
before(async () => {
  bed = await startTestbed();
});
after(() => bed.close());
beforeEach(() => bed.reset());

describe("proxy", () => {
  test("to a kubelet: with our certificate, its paths and its answers", async () => {
    bed.kubelet.answer = (request, response) => void response.end(`${request.method} ${request.url}`);
    assert.equal((await bed.ask("/api/v1/nodes/n1/proxy/stats/summary?only=1")).text, "GET /stats/summary?only=1");
    assert.equal((await bed.ask(`/api/v1/nodes/n1:${bed.kubelet.port}/proxy/`)).text, "GET /");
    const bare = await bed.ask("/api/v1/nodes/n1/proxy?x=1");
    assert.deepEqual([bare.status, bare.headers.location], [301, "/api/v1/nodes/n1/proxy/?x=1"]);
    assert.equal((await bed.ask("/api/v1/nodes/n1:1/proxy/")).message, "address not allowed");
  });

  test("bodies go through as they come, in both directions", async () => {
    bed.kubelet.answer = (request, response) => void request.pipe(response);
    const body = Buffer.alloc(5 * 1024 * 1024, "y");
    const request = httpsRequest(bed.options("/api/v1/nodes/n1/proxy/run", { method: "POST" }));
    request.end(body);
    const [response] = await once(request, "response");
    assert.equal((await textOf(response)).length, body.length);
    assert.equal(bed.kubelet.requests[0]?.headers["x-forwarded-uri"], "/api/v1/nodes/n1/proxy/run");
  });

  test("an upgrade goes through", async () => {
    bed.kubelet.upgrade = (request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
      socket.end(request.url);
    };
    const headers = { authorization: "Bearer admin", connection: "Upgrade", upgrade: "echo" };
    const request = httpsRequest(bed.options("/api/v1/nodes/n1/proxy/a?b=c", { headers }));
    request.end();
    const [, socket, head] = await once(request, "upgrade");
    assert.equal(head.toString() + (await textOf(socket)), "/a?b=c");
    socket.destroy();
  });

  test("refused: what has no address, what isn't there, what isn't a name", async () => {
    const cases: readonly [string, number, string][] = [
      [`${pods}/nowhere/proxy/`, 400, "address not allowed"],
      [`${pods}/none/proxy/`, 404, 'pods "none" not found'],
      [`${pods}/ftp:one:21/proxy/`, 400, 'invalid pod request "ftp:one:21"'],
      ["/api/v1/namespaces/default/services/none/proxy/", 404, 'services "none" not found'],
      ["/api/v1/nodes/none/proxy/", 404, 'nodes "none" not found'],
    ];
    for (const [path, status, message] of cases) {
      const answer = await bed.ask(path);
      assert.deepEqual([answer.status, answer.message], [status, message], path);
    }
  });

  test("pages: links, locations and headers as they must be for who came through", async () => {
    const prefix = "/api/v1/nodes/n1/proxy";
    const page = '<a href="/x">x</a>';
    const rewritten = `<a href="${prefix}/x">x</a>`;
    bed.kubelet.answer = (request, response) => {
      const headers = { "content-type": "text/html; charset=utf-8", "access-control-allow-origin": "*", "x-own": "1" };
      if (request.url === "/moved") response.writeHead(302, { ...headers, location: "/there?a=b" }).end(page);
      else if (request.url === "/gzip") {
        response.writeHead(200, { ...headers, "content-encoding": "gzip" }).end(gzipSync(page));
      } else response.writeHead(200, { ...headers, "content-length": page.length }).end(page);
    };
    const plain = await bed.ask(`${prefix}/`);
    assert.equal(plain.text, rewritten);
    assert.equal(plain.headers["access-control-allow-origin"], undefined);
    assert.equal(plain.headers["x-own"], "1");
    const moved = await bed.ask(`${prefix}/moved`);
    assert.deepEqual([moved.status, moved.headers.location], [302, `${prefix}/there?a=b`]);
    const head = await bed.ask(`${prefix}/`, { method: "HEAD" });
    assert.deepEqual([head.status, head.text], [200, ""]);
    const request = httpsRequest(bed.options(`${prefix}/gzip`));
    request.end();
    const [response] = await once(request, "response");
    assert.equal(
      gunzipSync(Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>))).toString(),
      rewritten,
    );
  });

  test("nobody listens: service unavailable; one that breaks in the middle doesn't look complete", async () => {
    await bed.kubeletPort(1);
    const refused = await bed.ask("/api/v1/nodes/n1/proxy/");
    await bed.kubeletPort(bed.kubelet.port);
    const message = "error trying to reach service: dial tcp 127.0.0.1:1: connect: connection refused";
    assert.deepEqual([refused.status, refused.message], [503, message]);
    bed.kubelet.answer = (request, response) => {
      response.write("half");
      setImmediate(() => request.socket.destroy());
    };
    await assert.rejects(bed.ask("/api/v1/nodes/n1/proxy/x"), { code: "ECONNRESET" });
  });
});
