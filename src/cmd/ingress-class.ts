/** The class of Ingresses that work without any set-up. Who has others, or deleted ours and made one, is left in peace. */
import type { Client } from "#client";
import { className, controllerName, defaultClassAnnotation } from "#ingress";
import { isStatusError } from "#machinery";

export async function provideIngressClass(client: Client): Promise<void> {
  const classes = client.resource("networking.k8s.io/v1/ingressclasses");
  if ((await classes.list()).items.length > 0) return;
  try {
    await classes.create({
      metadata: { name: className, annotations: { [defaultClassAnnotation]: "true" } },
      spec: { controller: controllerName },
    });
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists")) throw error; // another server was first
  }
}
