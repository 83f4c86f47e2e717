/**
 * An extension server for tests: one group with one resource, kept in memory. It believes the front proxy as a real one does: by its
 * certificate and by what the ConfigMap `extension-apiserver-authentication` says about authority, names and headers.
 */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { WebSocketServer } from "ws";
import { createAuthority, issueCertificate, type KeyPair } from "../security/certificates.ts";

const group = "sample.example.com";
const groupVersion = `${group}/v1`;
const resourcePath = new RegExp(`^/apis/${groupVersion}/namespaces/([^/]+)/things(?:/([^/]+))?(?:/(echo|slow|away))?$`);

/** Of the ConfigMap, as extension servers read it. */
export interface ProxyTrust {
  readonly "requestheader-client-ca-file": string;
  readonly "requestheader-allowed-names": string;
  readonly "requestheader-username-headers": string;
  readonly "requestheader-group-headers": string;
  readonly "requestheader-extra-headers-prefix": string;
  readonly "requestheader-uid-headers"?: string;
}

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly user: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage["headers"];
}

export interface SampleServerOptions {
  readonly trust: ProxyTrust;
  /** The Service it stands behind. */
  readonly serviceName: string;
  /** Knows neither aggregated discovery nor OpenAPI version 3. */
  readonly old?: boolean;
}

export interface SampleServer {
  readonly port: number;
  /** PEM. */
  readonly authority: string;
  readonly seen: SeenRequest[];
  /** Answers everything with 500 from now on. */
  broken: boolean;
  close(): Promise<void>;
}

interface Thing {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion: string };
}

export async function startSampleServer({
  trust,
  serviceName,
  old = false,
}: SampleServerOptions): Promise<SampleServer> {
  const now = Date.now();
  const authority = await createAuthority("sample", { now, validDays: 1 });
  const names = { dnsNames: [serviceName], ipAddresses: [] };
  const pair: KeyPair = await issueCertificate(authority, {
    commonName: serviceName,
    usages: ["server"],
    validDays: 1,
    now,
    ...names,
  });
  const seen: SeenRequest[] = [];
  const things = new Map<string, Thing>();
  const watchers = new Set<ServerResponse>();
  let revision = 0;
  const sample = { port: 0, authority: authority.certificate, seen, broken: false, close };
  const server = createServer({ cert: pair.certificate, key: pair.key, requestCert: true, rejectUnauthorized: false });
  const webSockets = new WebSocketServer({ noServer: true });

  function whoAsks(request: IncomingMessage): SeenRequest | undefined {
    const { raw } = (request.socket as TLSSocket).getPeerCertificate();
    if (!raw) return undefined;
    const certificate = new X509Certificate(raw);
    const allowed = JSON.parse(trust["requestheader-allowed-names"]) as string[];
    const name = /CN=(.*)$/m.exec(certificate.subject)?.[1] ?? "";
    const ca = new X509Certificate(trust["requestheader-client-ca-file"]);
    if (!certificate.verify(ca.publicKey) || (allowed.length > 0 && !allowed.includes(name))) return undefined;
    const header = (key: keyof ProxyTrust) => {
      const [first = ""] = JSON.parse(trust[key] ?? "[]") as string[];
      const value = request.headers[first.toLowerCase()] ?? "";
      return Array.isArray(value) ? value.join(", ") : value;
    };
    const [prefix = ""] = JSON.parse(trust["requestheader-extra-headers-prefix"]) as string[];
    const extra = Object.entries(request.headers).filter(([key]) => key.startsWith(prefix.toLowerCase()));
    return {
      method: request.method ?? "",
      url: request.url ?? "",
      user: Buffer.from(header("requestheader-username-headers"), "latin1").toString(),
      uid: header("requestheader-uid-headers"),
      groups: header("requestheader-group-headers").split(", "),
      extra: Object.fromEntries(extra.map(([key, value]) => [key.slice(prefix.length), String(value)])),
      headers: request.headers,
    };
  }

  const send = (response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(value));
  };
  const statusOf = (code: number, reason: string, message: string) => ({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    code,
  });

  server.on("request", (request, response) => {
    void serve(request, response);
  });
  server.on("upgrade", (request, socket, head) => {
    const who = whoAsks(request);
    if (!who || !request.url?.includes("/echo")) {
      socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnone");
      return;
    }
    seen.push(who);
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("message", (data) => webSocket.send(`${who.user}: ${data}`));
    });
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const who = whoAsks(request);
    if (!who) return send(response, 401, statusOf(401, "Unauthorized", "Unauthorized"));
    seen.push(who);
    if (sample.broken) return send(response, 500, statusOf(500, "InternalError", "broken"));
    const url = new URL(request.url ?? "/", "https://sample");
    const document = documents({ old, accept: request.headers.accept ?? "" }, url.pathname);
    if (document) {
      if (request.headers["if-none-match"] === document.etag) {
        response.writeHead(304, { etag: document.etag }).end();
        return;
      }
      return send(response, 200, document.value, { etag: document.etag, "content-type": document.type });
    }
    const [, namespace = "", name, view] = resourcePath.exec(url.pathname) ?? [];
    if (namespace === "") return send(response, 404, statusOf(404, "NotFound", "not found"));
    if (view === "away") return void response.writeHead(302, { location: "https://elsewhere.example.com/" }).end();
    if (view === "slow") return; // never answered
    if (request.method === "POST") {
      let text = "";
      for await (const piece of request) text += piece;
      const body = JSON.parse(text) as { metadata: { name: string } };
      const thing: Thing = {
        ...body,
        metadata: { ...body.metadata, namespace, resourceVersion: String(++revision) },
      };
      things.set(`${namespace}/${thing.metadata.name}`, thing);
      for (const watcher of watchers) watcher.write(`${JSON.stringify({ type: "ADDED", object: thing })}\n`);
      return send(response, 201, thing);
    }
    if (name !== undefined) {
      const thing = things.get(`${namespace}/${name}`);
      if (request.method === "DELETE") things.delete(`${namespace}/${name}`);
      return thing
        ? send(response, 200, thing)
        : send(response, 404, statusOf(404, "NotFound", `things.${group} "${name}" not found`));
    }
    if (url.searchParams.get("watch") === "true") {
      response.writeHead(200, { "content-type": "application/json", "access-control-allow-origin": "*" });
      response.flushHeaders();
      watchers.add(response);
      response.once("close", () => watchers.delete(response));
      return;
    }
    const items = [...things.values()].filter(({ metadata }) => metadata.namespace === namespace);
    const metadata = { resourceVersion: String(revision) };
    send(response, 200, { kind: "ThingList", apiVersion: groupVersion, metadata, items });
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  sample.port = (server.address() as AddressInfo).port;
  return sample;

  async function close(): Promise<void> {
    for (const webSocket of webSockets.clients) webSocket.terminate();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
}

const verbs = ["create", "delete", "get", "list", "watch"];
const kind = { group, version: "v1", kind: "Thing" };
const metadataName = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

function documents({ old, accept }: { old: boolean; accept: string }, path: string) {
  const plain = (value: object) => ({ value, etag: `"${JSON.stringify(value).length}"`, type: "application/json" });
  const version = { groupVersion, version: "v1" };
  const groupDocument = { name: group, versions: [version], preferredVersion: version };
  const schema = { type: "object", "x-kubernetes-group-version-kind": [kind] };
  const operation = (reference: object) => ({ responses: { 200: { description: "OK", schema: reference } } });
  const things = `/apis/${groupVersion}/namespaces/{namespace}/things`;
  switch (path) {
    case "/apis":
      if (!old && accept.includes("as=APIGroupDiscoveryList")) {
        const thing = {
          resource: "things",
          responseKind: kind,
          scope: "Namespaced",
          singularResource: "thing",
          verbs,
          subresources: [{ subresource: "echo", responseKind: null, verbs: ["get"] }],
        };
        const versions = [{ version: "v1", resources: [thing], freshness: "Current" }];
        const items = [{ metadata: { name: group }, versions }];
        const value = { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", metadata: {}, items };
        return {
          ...plain(value),
          type: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        };
      }
      return plain({ kind: "APIGroupList", apiVersion: "v1", groups: [groupDocument] });
    case `/apis/${group}`:
      return plain({ kind: "APIGroup", apiVersion: "v1", ...groupDocument });
    case `/apis/${groupVersion}`: {
      const resource = { name: "things", singularName: "thing", namespaced: true, kind: "Thing", verbs };
      const echo = { name: "things/echo", singularName: "", namespaced: true, kind: "", verbs: ["get"] };
      return plain({ kind: "APIResourceList", apiVersion: "v1", groupVersion, resources: [resource, echo] });
    }
    case "/openapi/v2":
      return plain({
        swagger: "2.0",
        info: { title: "sample", version: "v1" },
        paths: {
          [things]: { get: operation({ $ref: "#/definitions/com.example.sample.v1.Thing" }) },
          "/version": { get: operation({ $ref: "#/definitions/only.for.Version" }) },
        },
        definitions: {
          "com.example.sample.v1.Thing": {
            ...schema,
            description: "A thing.",
            properties: { metadata: { $ref: `#/definitions/${metadataName}` }, spec: { type: "object" } },
          },
          // Another one than the cluster's own.
          [metadataName]: { type: "object", description: "of another release" },
          "only.for.Version": { type: "object" },
        },
      });
    case "/openapi/v3":
      if (old) return undefined;
      return plain({
        paths: { [`apis/${groupVersion}`]: { serverRelativeURL: `/openapi/v3/apis/${groupVersion}?hash=1` } },
      });
    case `/openapi/v3/apis/${groupVersion}`:
      if (old) return undefined;
      return plain({
        openapi: "3.0.0",
        info: { title: "sample", version: "v1" },
        paths: { [things]: {} },
        components: { schemas: { "com.example.sample.v1.Thing": schema } },
      });
    default:
      return undefined;
  }
}
