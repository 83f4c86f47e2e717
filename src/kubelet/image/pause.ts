/** The image of the sandbox's own process, which holds a pod's namespaces and reaps its orphans: packed from the machine's `catatonit`. */
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CriClient } from "../cri/client.ts";
import { type ImageStore, importImage } from "./import.ts";
import { packImage } from "./pack.ts";

export const pauseImage = "sampan.local/pause:1";

const places = ["/usr/bin/catatonit", "/usr/libexec/catatonit/catatonit", "/usr/local/bin/catatonit"];

/** Imports the image unless the runtime has it. */
export async function ensurePauseImage(cri: CriClient, store: ImageStore, folder: string): Promise<void> {
  const { image } = await cri.image.imageStatus({ image: { image: pauseImage } });
  if (image?.id) return;
  const program = await findProgram();
  const bytes = await packImage({
    name: pauseImage,
    files: [{ host: program, path: "/catatonit" }],
    entrypoint: ["/catatonit", "-P"],
  });
  await mkdir(folder, { recursive: true });
  const archive = join(folder, `pause-${process.pid}.tar`);
  try {
    await writeFile(archive, bytes);
    await importImage(store, archive);
  } finally {
    await rm(archive, { force: true });
  }
}

async function findProgram(): Promise<string> {
  for (const path of places)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  throw new Error(
    `no catatonit, which pods need to hold their namespaces; looked for ${places.join(", ")} (Debian: apt install catatonit)`,
  );
}
