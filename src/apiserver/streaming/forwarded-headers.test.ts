import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { describe, test } from "node:test";
import type { ServerRequest } from "../http/exchange.ts";
import { answeredHeaders, forwardedHeaders, upgradeHeaders } from "./forwarded-headers.ts";

const request = (headers: IncomingHttpHeaders) =>
  ({ headers, remoteAddress: "10.0.0.9" }) as Partial<ServerRequest> as ServerRequest; // all that is looked at

describe("forwarded headers", () => {
  test("what is between neighbours stays behind, and who the caller is", () => {
    const headers = forwardedHeaders(
      request({
        host: "api:6443",
        accept: "*/*",
        connection: "keep-alive, X-Mine",
        "x-mine": "1",
        "keep-alive": "5",
        "transfer-encoding": "chunked",
        te: "trailers",
        authorization: "Bearer secret",
        "impersonate-user": "root",
        "x-remote-user": "me",
        "x-remote-extra-a": "b",
        cookie: "a=b",
        "set-cookie": ["a", "b"],
      }),
    );
    assert.deepEqual(headers, {
      host: "api:6443",
      accept: "*/*",
      cookie: "a=b",
      "set-cookie": ["a", "b"],
      "x-forwarded-for": "10.0.0.9",
    });
  });

  test("HTTP/2: its own headers stay behind, the authority is the host", () => {
    const headers = forwardedHeaders(
      request({ ":method": "GET", ":path": "/", ":authority": "api", "x-forwarded-for": "1.2.3.4" }),
    );
    assert.deepEqual(headers, { host: "api", "x-forwarded-for": "1.2.3.4, 10.0.0.9" });
  });

  test("upgrades: what they are about goes on, a token among the subprotocols doesn't", () => {
    const offered = "base64url.bearer.authorization.k8s.io.c2VjcmV0, v4.channel.k8s.io";
    const headers = upgradeHeaders(
      request({ connection: "Upgrade", upgrade: "websocket", authorization: "x", "sec-websocket-protocol": offered }),
    );
    assert.deepEqual(headers, {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-protocol": " v4.channel.k8s.io",
      "x-forwarded-for": "10.0.0.9",
    });
    const only = "base64url.bearer.authorization.k8s.io.c2VjcmV0";
    assert.equal("sec-websocket-protocol" in upgradeHeaders(request({ "sec-websocket-protocol": only })), false);
  });

  test("answers: the same", () => {
    const headers = { connection: "close, x-a", "x-a": "1", "content-type": "text/plain", "keep-alive": "1" };
    assert.deepEqual(answeredHeaders(headers), { "content-type": "text/plain" });
  });
});
