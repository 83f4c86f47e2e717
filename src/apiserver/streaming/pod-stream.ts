/** exec, attach and portforward of a pod: checked here, served by the kubelet. */
import type { Clock, Logger } from "#base";
import { statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { attributesOf } from "../authorize.ts";
import type { ResponseSink, ServerRequest } from "../http/exchange.ts";
import type { Query } from "../query.ts";
import { admitConnect } from "../registry/admit-create.ts";
import type { Call } from "../registry/call.ts";
import type { RegistryCore } from "../registry/core.ts";
import type { KubeletConnector } from "./kubelet-connector.ts";
import { passUpgrade } from "./pass-upgrade.ts";
import { chooseContainer, nodeNamed, type PodView, podOf } from "./pods.ts";
import type { CommandStreams } from "./remote-command.ts";
import { upgradeOf } from "./upgrade-request.ts";

export type PodStreamKind = "exec" | "attach" | "portforward";

export interface PodStreamOptions {
  readonly kubelets: KubeletConnector;
  readonly clock: Clock;
  readonly log: Logger;
}

export const podStream =
  (kind: PodStreamKind, options: PodStreamOptions) =>
  async (call: Call, core: RegistryCore): Promise<Answer> => {
    await requireCreate(call, core);
    await admitConnect(core, call, optionsObject(kind, call.query));
    const pod = await podOf(core, call);
    const path = kubeletPath(kind, pod, call.query);
    const nodeName = pod.spec?.nodeName ?? "";
    if (nodeName === "") throw statusError.badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
    const url = options.kubelets.locate(await nodeNamed(core, call, nodeName));
    url.pathname = path;
    url.search = String(kind === "portforward" ? portQuery(call.query) : commandQuery(kind, call.query));
    return {
      type: "stream",
      run: (request, sink) => connect(options, { kind, url, request, sink, streams: streamsOf(call.query) }),
    };
  };

/**
 * A WebSocket begins as a GET, which only says `get`; starting a process is more than reading. Upstream asks for `create` as well since
 * 1.35, and refuses in these words.
 */
async function requireCreate({ user, verb, target }: Call, { authorizer }: RegistryCore): Promise<void> {
  if (verb === "create") return;
  const { allowed, reason } = await authorizer.authorize(attributesOf({ user, verb: "create", target, path: "" }));
  if (!allowed) throw statusError.forbidden({ group: "", resource: target.resource }, target.name, reason);
}

/** The query as the object that webhooks are shown. */
function optionsObject(kind: PodStreamKind, query: Query): object {
  if (kind === "portforward") {
    const ports = portQuery(query).get("port");
    return { kind: "PodPortForwardOptions", apiVersion: "v1", ...(ports && { ports: ports.split(",").map(Number) }) };
  }
  const wanted = Object.entries(streamsOf(query)).filter(([, is]) => is);
  const container = query.get("container");
  return {
    kind: kind === "exec" ? "PodExecOptions" : "PodAttachOptions",
    apiVersion: "v1",
    ...Object.fromEntries(wanted),
    ...(container && { container }),
    ...(kind === "exec" && { command: query.all("command") }),
  };
}

function kubeletPath(kind: PodStreamKind, pod: PodView, query: Query): string {
  const { namespace, name } = pod.metadata;
  if (kind === "portforward") return `/portForward/${namespace}/${name}`;
  return `/${kind}/${namespace}/${name}/${chooseContainer(pod, query.get("container"))}`;
}

const streamsOf = (query: Query): CommandStreams => ({
  stdin: query.boolean("stdin"),
  stdout: query.boolean("stdout"),
  stderr: query.boolean("stderr"),
  tty: query.boolean("tty"),
});

/** The kubelet has names of its own for the streams. */
function commandQuery(kind: PodStreamKind, query: Query): URLSearchParams {
  const { stdin, stdout, stderr, tty } = streamsOf(query);
  const asked = new URLSearchParams();
  for (const [name, wanted] of Object.entries({ input: stdin, output: stdout, error: stderr, tty })) {
    if (wanted) asked.set(name, "1");
  }
  if (kind === "exec") for (const word of query.all("command")) asked.append("command", word);
  return asked;
}

/** Only WebSockets name ports here; SPDY does in the headers of its streams. */
function portQuery(query: Query): URLSearchParams {
  const ports = query.all("ports").flatMap((text) => text.split(","));
  return new URLSearchParams(ports.length > 0 ? { port: ports.join(",") } : {});
}

interface Connection {
  readonly kind: PodStreamKind;
  readonly url: URL;
  readonly request: ServerRequest;
  readonly sink: ResponseSink;
  readonly streams: CommandStreams;
}

async function connect({ kubelets, clock, log }: PodStreamOptions, connection: Connection): Promise<void> {
  const { kind, url, sink, streams } = connection;
  const request = upgradeOf(connection.request);
  if (!request) throw statusError.badRequest("Upgrade request required");
  const passage = { request, sink, url, dial: kubelets.upgrade };
  if (request.wanted === "websocket") {
    // Loaded for the first WebSocket only.
    const [{ runRemoteCommand, wantsCommandProtocol }, { tunnel, wantsTunnel }] = await Promise.all([
      import("./remote-command.ts"),
      import("./tunnel.ts"),
    ]);
    if (kind === "portforward" && wantsTunnel(request)) return tunnel(passage);
    if (kind !== "portforward" && wantsCommandProtocol(request)) {
      return runRemoteCommand({ request, url, streams, dial: kubelets.upgrade, clock, log });
    }
  }
  // SPDY, and the WebSocket protocols that runtimes speak themselves.
  await passUpgrade(passage);
}
