/**
 * Certificates with their keys in a folder, as upstream's: `kubelet-client-2026-11-23-16-59-02.pem` holds both, and the link
 * `kubelet-client-current.pem` names the newest. The link is replaced in one step, so that there is always a whole one.
 */
import { X509Certificate } from "node:crypto";
import { mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface CertificatePair {
  /** PEM, with what stands between it and the authority. */
  readonly certificate: string;
  readonly key: string;
  /** Milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface CertificateStore {
  readonly currentPath: string;
  /** Undefined: there is none that can be used. */
  current(): Promise<CertificatePair | undefined>;
  update(certificate: string, key: string): Promise<CertificatePair>;
}

export function certificateStore(folder: string, prefix: "kubelet-client" | "kubelet-server"): CertificateStore {
  const currentPath = join(folder, `${prefix}-current.pem`);
  return {
    currentPath,
    async current() {
      const text = await readFile(currentPath, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return "";
        throw error;
      });
      return readPair(text);
    },
    async update(certificate, key) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const stamp = new Date().toISOString().slice(0, 19).replace(/[T:]/g, "-");
      const path = join(folder, `${prefix}-${stamp}.pem`);
      await writeFile(path, `${certificate.trimEnd()}\n${key.trimEnd()}\n`, { mode: 0o600 });
      const next = join(folder, `${prefix}-updated.pem`);
      await rm(next, { force: true });
      await symlink(path, next);
      await rename(next, currentPath);
      const pair = readPair(`${certificate}\n${key}`);
      if (!pair) throw new Error(`what was issued for ${prefix} is no certificate`);
      return pair;
    },
  };
}

const block = (label: string) => new RegExp(`-----BEGIN ${label}-----[^-]*-----END ${label}-----`, "g");

/** Undefined: text without a certificate and a key. */
export function readPair(text: string): CertificatePair | undefined {
  const certificates = text.match(block("CERTIFICATE")) ?? [];
  const key = text.match(block("(?:[A-Z]+ )?PRIVATE KEY"))?.[0];
  const [first] = certificates;
  if (!first || !key) return undefined;
  try {
    const { validFromDate, validToDate } = new X509Certificate(first);
    return {
      ...{ certificate: `${certificates.join("\n")}\n`, key: `${key}\n` },
      ...{ notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() },
    };
  } catch {
    // A damaged file is as good as none: another certificate is asked for.
    return undefined;
  }
}
