/**
 * `node test/ingress-load.ts URL HOST CLIENTS`: asks without a pause until its input ends, then prints what came of it as JSON. Runs in the
 * namespace of the cluster.
 */
import { Agent, get } from "node:http";

const [url = "", host = "", clients = "4"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const failures: Record<string, number> = {};
const bodies: Record<string, number> = {};
let isOver = false;
process.stdin.on("end", () => {
  isOver = true;
});
process.stdin.resume();
const count = (kind: Record<string, number>, name: string) => {
  kind[name] = (kind[name] ?? 0) + 1;
};

const ask = () =>
  new Promise<void>((done) => {
    const request = get(url, { agent, headers: { host } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        if (response.statusCode === 200) count(bodies, text.trim());
        else count(failures, `${response.statusCode} ${text.trim()}`);
        done();
      });
      response.on("error", (error) => {
        count(failures, error.message);
        done();
      });
    });
    request.on("error", (error) => {
      count(failures, error.message);
      done();
    });
  });
async function client(): Promise<void> {
  while (!isOver) await ask();
}

await Promise.all(Array.from({ length: Number(clients) }, client));
console.log(JSON.stringify({ failures, bodies }));
agent.destroy();
