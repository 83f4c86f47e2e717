/** Asks a part of the control plane how it is, by its health page. Follows registry/core/componentstatus and probe/http. */
import { get } from "node:https";
import { printDialError } from "../streaming/dial-error.ts";

const timeoutMs = 20_000;
const bodyMax = 10 * 1024;

export interface ProbeResult {
  readonly healthy: boolean;
  readonly message: string;
}

/** On this machine, by whatever certificate: nothing secret is said. */
export function probeHealth(port: number): Promise<ProbeResult> {
  const host = `127.0.0.1:${port}`;
  const url = `https://${host}/healthz`;
  return new Promise((resolve) => {
    const fail = (text: string) => resolve({ healthy: false, message: `Get ${JSON.stringify(url)}: ${text}` });
    const headers = { "user-agent": "kube-probe/1.36", accept: "*/*", connection: "close" };
    const request = get(url, { rejectUnauthorized: false, agent: false, headers, timeout: timeoutMs }, (response) => {
      const { statusCode = 0 } = response;
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        if (text.length < bodyMax) text += part;
      });
      response.on("error", (error) => fail(error.message));
      response.on("end", () => {
        if (statusCode >= 200 && statusCode < 400) resolve({ healthy: true, message: text.slice(0, bodyMax) });
        else resolve({ healthy: false, message: `HTTP probe failed with statuscode: ${statusCode}` });
      });
    });
    request.on("timeout", () => {
      fail("context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
      request.destroy();
    });
    request.on("error", (error) => fail(printDialError(error, host)));
  });
}
