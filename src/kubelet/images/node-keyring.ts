/** Passwords that the node itself has: Docker's configuration files, where upstream looks for them. Read when a pull needs them. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Clock } from "#base";
import { authsOf, readDockerConfig, type SourcedConfig } from "./keyring.ts";

/** As upstream: long enough that pulls of one pod read once. */
const keepMs = 5 * 60_000;

/** `folder`: the node's own, looked at first. */
export function createNodeKeyring(folder: string, clock: Clock): () => Promise<SourcedConfig[]> {
  let known: { until: number; ring: Promise<SourcedConfig[]> } | undefined;
  return () => {
    if (!known || clock.now() >= known.until) known = { until: clock.now() + keepMs, ring: readRing(folder) };
    return known.ring;
  };
}

async function readRing(folder: string): Promise<SourcedConfig[]> {
  const places = [folder, process.cwd()];
  const candidates = [
    ...[...places, join(homedir(), ".docker"), "/.docker"].map((place) => ({
      file: join(place, "config.json"),
      of: authsOf,
    })),
    ...[...places, homedir(), "/"].map((place) => ({ file: join(place, ".dockercfg"), of: (value: unknown) => value })),
  ];
  for (const { file, of } of candidates)
    try {
      return [{ config: readDockerConfig(of(JSON.parse(await readFile(file, "utf8")))) }];
    } catch {
      // Not there, or not what it is named: upstream takes the next one, too.
    }
  return [];
}
