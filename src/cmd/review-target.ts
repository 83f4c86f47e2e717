/** Where a webhook is that answers reviews: a kubeconfig of its own. */
import type { ReviewTarget } from "#apiserver";
import { createHttpsTransport, kubeconfigTarget, readKubeconfig } from "#client";
import { CommandError } from "./command.ts";

/** Answers are reviews; keeps a mad webhook from filling memory. */
const answerBytesMax = 4 * 1024 * 1024;

export async function reviewTarget(flag: string, file: string): Promise<ReviewTarget> {
  try {
    const { transport } = await kubeconfigTarget(await readKubeconfig([file], { mustExist: true }));
    const path = new URL(transport.server).pathname === "/" ? "/" : "";
    return { path, transport: createHttpsTransport({ ...transport, userAgent: "kube-apiserver", answerBytesMax }) };
  } catch (error) {
    throw new CommandError(`--${flag} ${file}: ${(error as Error).message}`); // of a file or of what is in it
  }
}
