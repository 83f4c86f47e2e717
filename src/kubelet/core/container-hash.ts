/** Tells whether a running container was made from today's spec. Only the image can change in a way that needs a new container. */
import { createHash } from "node:crypto";
import type { ContainerSpec } from "./types.ts";

export const containerHash = ({ name, image }: ContainerSpec): string =>
  createHash("sha256")
    .update(JSON.stringify([name, image]))
    .digest("hex")
    .slice(0, 8);
