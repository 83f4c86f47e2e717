/** Writes the administrator's kubeconfig next to the data it opens: readable by its owner only, never half. */
import { rename, writeFile } from "node:fs/promises";
import type { Pki } from "#apiserver";
import type { Logger } from "#base";
import { printKubeconfig } from "#cli";
import type { ControlPlane } from "./control-plane.ts";

export async function writeAdminKubeconfig(file: string, { server, pki }: { server: string; pki: Pki }): Promise<void> {
  const text = printKubeconfig({
    server,
    authority: pki.authority.certificate,
    certificate: pki.admin.certificate,
    key: pki.admin.key,
    cluster: "sampan",
    user: "kubernetes-admin",
  });
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Also when the administrator's certificate is renewed. */
export async function keepAdminKubeconfig(
  { pki, onRenewal }: Pick<ControlPlane, "pki" | "onRenewal">,
  { file, server, log }: { readonly file: string; readonly server: string; readonly log: Logger },
): Promise<void> {
  const write = () => writeAdminKubeconfig(file, { server, pki });
  onRenewal(() => void write().catch((error: unknown) => log.error(`${file} can't be written`, { error })));
  await write();
}
