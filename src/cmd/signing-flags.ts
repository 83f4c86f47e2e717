/** `--cluster-signing-…`: with which authorities the controllers sign requests for certificates. Changed files are taken up. */
import { readFile } from "node:fs/promises";
import type { Clock, FlagSpecs, FlagValues, Logger } from "#base";
import type { CertificateSigner } from "#controllers";
import { CommandError } from "./command.ts";
import { followConfigFile } from "./config-file.ts";
import { each, text } from "./flag-spec.ts";

/** What a signer's flags are called by. */
const signerFlags = {
  "kubernetes.io/kubelet-serving": "kubelet-serving-",
  "kubernetes.io/kube-apiserver-client-kubelet": "kubelet-client-",
  "kubernetes.io/kube-apiserver-client": "kube-apiserver-client-",
  "kubernetes.io/legacy-unknown": "legacy-unknown-",
} as const;
type Part = "" | (typeof signerFlags)[keyof typeof signerFlags];
type FileFlag = `cluster-signing-${Part}${"cert" | "key"}-file`;

const parts: readonly Part[] = ["", ...Object.values(signerFlags)];
const yearMs = 365 * 24 * 3_600_000;

export const signingFlags = {
  ...each<FileFlag, ReturnType<typeof text>>(
    parts.flatMap((part) => [`cluster-signing-${part}cert-file`, `cluster-signing-${part}key-file`] as const),
    (name) =>
      text("FILE", `PEM ${name.endsWith("cert-file") ? "authority" : "key"} that signs requests for certificates.`),
  ),
  "cluster-signing-duration": {
    ...{ type: "duration", default: yearMs, value: "TIME" },
    help: "Longest life of a certificate that was asked for.",
  },
} as const satisfies FlagSpecs;

type SigningValues = FlagValues<typeof signingFlags>;

interface Following {
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** By the signer's name: one authority for all, or one for each of some. */
export async function readSigners(
  values: SigningValues,
  following: Following,
): Promise<ReadonlyMap<string, CertificateSigner>> {
  const given = (part: Part) => values[`cluster-signing-${part}cert-file`] ?? values[`cluster-signing-${part}key-file`];
  const hasOwn = parts.some((part) => part !== "" && given(part));
  if (hasOwn && values["cluster-signing-cert-file"] && values["cluster-signing-key-file"])
    throw new CommandError("cannot specify default and per controller certs at the same time");
  const signers = new Map<string, CertificateSigner>();
  for (const [signer, part] of Object.entries(signerFlags)) {
    const used = hasOwn ? part : "";
    if (given(used)) signers.set(signer, await openSigner(used, values, following));
  }
  return signers;
}

async function openSigner(part: Part, values: SigningValues, following: Following): Promise<CertificateSigner> {
  const { createRequestSigner } = await import("#apiserver"); // large, for one function
  const [certFlag, keyFlag] = [`cluster-signing-${part}cert-file`, `cluster-signing-${part}key-file`] as const;
  const [certFile, keyFile] = [values[certFlag], values[keyFlag]];
  if (!certFile || !keyFile) throw new CommandError(`--${certFlag} and --${keyFlag} belong together`);
  const read = async () => {
    const [certificate, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
    return { certificate, key, signer: createRequestSigner({ certificate, key }) };
  };
  const { certificate, key, ...made } = await read().catch((error: unknown) => {
    throw new CommandError(`--${certFlag} ${certFile}, --${keyFlag} ${keyFile}: ${(error as Error).message}`);
  });
  let { signer } = made;
  // While only one of the two has changed they don't fit each other: the one before stays, the other's change brings both.
  const apply = async () => {
    signer = (await read()).signer;
  };
  followConfigFile({ ...following, file: certFile, text: certificate, apply });
  followConfigFile({ ...following, file: keyFile, text: key, apply });
  return {
    durationMs: values["cluster-signing-duration"],
    get validUntil() {
      return signer.validUntil;
    },
    sign: (request, terms) => signer.sign(request, terms),
  };
}

/** One authority for all that upstream signs for. */
export function signersOf(signer: Omit<CertificateSigner, "durationMs">, durationMs = yearMs) {
  const all: CertificateSigner = { durationMs, validUntil: signer.validUntil, sign: signer.sign };
  return new Map(Object.keys(signerFlags).map((name) => [name, all]));
}
