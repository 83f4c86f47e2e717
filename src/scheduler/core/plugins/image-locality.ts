import { type ScorePlugin, scoreMax } from "../framework.ts";

const bytesMin = 23 * 1024 * 1024;
/** For each container: an image of this size or more counts fully. */
const bytesMax = 1000 * 1024 * 1024;

/** Prefers nodes that have the pod's images, large ones above all; images that few nodes have count less, lest these get all pods. */
export const imageLocality: ScorePlugin = {
  name: "ImageLocality",
  weight: 1,
  prepare({ pod }, state) {
    const { containers = [], initContainers = [] } = pod.spec ?? {};
    const images = [...containers, ...initContainers].map(({ image = "" }) => fullName(image));
    const known = images
      .map((name) => ({ name, spread: state.imageNodes(name) / state.nodes.length }))
      .filter(({ spread }) => spread > 0);
    if (known.length === 0) return undefined;
    const max = bytesMax * images.length;
    return {
      score(node) {
        let bytes = 0;
        for (const { name, spread } of known) bytes += Math.trunc((node.images.get(name) ?? 0) * spread);
        return Math.trunc((scoreMax * (Math.min(max, Math.max(bytesMin, bytes)) - bytesMin)) / (max - bytesMin));
      },
    };
  },
};

/** As the runtime reports it: with a tag. */
const fullName = (image: string): string =>
  image.lastIndexOf(":") <= image.lastIndexOf("/") ? `${image}:latest` : image;
