/** The images that a runtime has, by name. */
import { connectCri } from "../cri/client.ts";

export interface StoredImage {
  readonly name: string;
  readonly sizeBytes: number;
}

export async function listImages(endpoint: string): Promise<StoredImage[]> {
  const cri = await connectCri(endpoint);
  try {
    const { images } = await cri.image.listImages({});
    return images
      .flatMap(({ repoTags, repoDigests, size }) =>
        (repoTags.length > 0 ? repoTags : repoDigests).map((name) => ({ name, sizeBytes: size })),
      )
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } finally {
    cri.close();
  }
}
