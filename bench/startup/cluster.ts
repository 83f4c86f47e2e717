/** The program as a user starts it, over and over: from nothing, with warm caches, on data of its own. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { Observer } from "./observer.ts";

const program = resolve(import.meta.dirname, "../../dist/sampan.js");
/** What the pods run: one program that does nothing. */
export const image = "bench/sleep:1";

export interface Start {
  readonly readyzMs: number;
  readonly nodeReadyMs: number;
  /** Of a pod that is created as soon as the server takes it. */
  readonly podRunningMs: number;
}

export async function sampan(...args: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [program, ...args]);
}

export class Cluster {
  readonly compileCache: string;
  readonly #dataDir: string;
  readonly #archive: string;
  #up: ChildProcess | undefined;
  #observer: Observer | undefined;

  constructor(folder: string, archive: string) {
    this.compileCache = join(folder, "compile-cache");
    this.#dataDir = join(folder, "data");
    this.#archive = archive;
  }

  get pid(): number {
    return this.#up?.pid ?? 0;
  }

  async start(podName: string): Promise<Start> {
    const images = join(this.#dataDir, "images");
    mkdirSync(images, { recursive: true });
    await copyFile(this.#archive, join(images, "image.tar"));
    const startedAt = performance.now();
    const passed = () => performance.now() - startedAt;
    const up = spawn(process.execPath, [program, "up", "--data-dir", this.#dataDir, "--log-level", "error"], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, NODE_COMPILE_CACHE: this.compileCache },
    });
    this.#up = up;
    const died = once(up, "exit").then(([code]) => {
      if (this.#up === up) throw new Error(`up ended with code ${code}`);
    });
    died.catch(() => undefined); // whoever waits hears of it
    const observed = async (): Promise<Start> => {
      const observer = await Observer.whenReady(this.#dataDir);
      this.#observer = observer;
      const readyzMs = passed();
      const node = observer.nodeReady().then(passed);
      await observer.createPod(podName, image);
      await observer.pod(podName, "Running");
      return { readyzMs, podRunningMs: passed(), nodeReadyMs: await node };
    };
    const start = await Promise.race([observed(), died]);
    if (!start) throw new Error("up ended before the node was ready");
    await this.#observer?.removePod(podName);
    return start;
  }

  /** Milliseconds from each creation to Ready. */
  async pods(count: number): Promise<number[]> {
    const observer = this.#observer;
    if (!observer) throw new Error("the cluster isn't running");
    const tookMs: number[] = [];
    for (let index = 0; index < count; index++) {
      const name = `warm-${index}`;
      const createdAt = performance.now();
      await observer.createPod(name, image);
      await observer.pod(name, "Ready");
      tookMs.push(performance.now() - createdAt);
      await observer.removePod(name);
    }
    return tookMs;
  }

  async stop(): Promise<void> {
    this.#observer?.close();
    this.#observer = undefined;
    const up = this.#up;
    this.#up = undefined;
    if (!up || up.exitCode !== null || up.signalCode !== null) return;
    const ended = once(up, "exit");
    up.kill("SIGTERM");
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    await sampan("down", "--purge", "--data-dir", this.#dataDir);
  }
}
