/** `/pods`, `/runningpods/` and `/run`: what is here, and commands without a stream. */
import { execInContainer } from "../probes/exec.ts";
import { HostError } from "../host.ts";
import { type Exchange, sendJson, sendText } from "./exchange.ts";
import type { StreamContext } from "./stream.ts";

const podList = (items: readonly object[]) => ({ kind: "PodList", apiVersion: "v1", metadata: {}, items });

export function servePods({ host }: StreamContext, exchange: Exchange): void {
  // In a list, items don't say what they are.
  const items = host.pods().map(({ apiVersion: _version, kind: _kind, ...pod }) => pod);
  sendJson(exchange, podList(items));
}

/** As the runtime knows them: names, images, nothing else. */
export function serveRunningPods({ host }: StreamContext, exchange: Exchange): void {
  const items = [...host.runtimes().values()].flatMap(({ uid, namespace, name, containers }) => {
    const running = containers.filter(({ state }) => state === "running");
    if (running.length === 0) return [];
    const shown = running.map((container) => ({ name: container.name, image: container.imageRef, resources: {} }));
    return [{ metadata: { name, namespace, uid }, spec: { containers: shown }, status: {} }];
  });
  sendJson(exchange, podList(items));
}

/** `POST /run/{namespace}/{pod}[/{uid}]/{container}?cmd=words with spaces`: upstream's oldest way, still used by tests. */
export async function serveRun({ host }: StreamContext, exchange: Exchange): Promise<void> {
  const { parts, query, signal } = exchange;
  const [, namespace = "", name = ""] = parts;
  const container = parts.at(-1) ?? "";
  const found = host.findPod(namespace, name);
  if (!found) return sendText(exchange, 404, "pod does not exist");
  let containerId: string;
  try {
    const isOther = parts.length === 5 && found.pod.metadata.uid !== parts[3];
    if (isOther) throw new HostError(500, `container not found (${JSON.stringify(container)})`);
    containerId = host.runningContainer(found, container).id;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return sendText(exchange, 500, error.message);
  }
  const command = (query.get("cmd") ?? "").split(" ");
  const outcome = await execInContainer(host.cri, { containerId, command, timeoutMs: 0, signal });
  if (outcome.kind !== "exited") return sendText(exchange, 500, outcome.message);
  if (outcome.exitCode !== 0) {
    return sendText(exchange, 500, `command '${command.join(" ")}' exited with ${outcome.exitCode}: ${outcome.output}`);
  }
  // Not JSON; upstream says so all the same.
  sendText(exchange, 200, outcome.output, { "content-type": "application/json" });
}
