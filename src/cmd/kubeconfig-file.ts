/** Writes the administrator's kubeconfig next to the data it opens: readable by its owner only, never half. */
import { rename, writeFile } from "node:fs/promises";
import type { Pki } from "#apiserver";
import { printKubeconfig } from "#cli";

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
