/** From the configuration to what reads and writes the values of each resource. */
import { cbc, gcm } from "./aes.ts";
import {
  type EncryptionConfiguration,
  type GroupResourceName,
  type Keys,
  parseGroupResource,
  type Provider,
  printGroupResource,
} from "./configuration.ts";
import type { KmsProvider } from "./kms.ts";
import { identity, type PrefixTransformer, prefixTransformers, type Transformer } from "./transformer.ts";

/** Read as one key: `resource.group`, also with stars. */
export type TransformerTable = ReadonlyMap<string, Transformer>;

export interface BuildContext {
  /** Opens a plugin; a second one of the same name doesn't happen. */
  kms(configuration: NonNullable<Provider["kms"]>): Promise<KmsProvider>;
}

const anything: GroupResourceName = { group: "*", resource: "*" };

/** Throws an Error when a rule can never apply. */
export async function buildTransformers(
  { resources }: EncryptionConfiguration,
  context: BuildContext,
): Promise<TransformerTable> {
  const lists = new Map<string, PrefixTransformer[]>();
  for (const { resources: names, providers } of resources) {
    const transformers = await Promise.all(providers.map((provider) => prefixed(provider, context)));
    for (const name of names) {
      const asked = parseGroupResource(name);
      for (const wider of [{ group: asked.group, resource: "*" }, anything])
        if (lists.has(printGroupResource(wider)))
          throw new Error(
            `resource ${JSON.stringify(printGroupResource(asked))} is masked by earlier rule ${JSON.stringify(printGroupResource(wider))}`,
          );
      const at = printGroupResource(asked);
      lists.set(at, [...(lists.get(at) ?? []), ...transformers]);
    }
  }
  return new Map(
    [...lists].map(([name, [first, ...rest]]) => [
      name,
      prefixTransformers([first!, ...rest], "no matching prefix found"), // validated: at least one provider
    ]),
  );
}

export function transformerOf(
  table: TransformerTable,
  { group, resource }: GroupResourceName,
): Transformer | undefined {
  return (
    table.get(printGroupResource({ group, resource })) ??
    table.get(printGroupResource({ group, resource: "*" })) ??
    table.get(printGroupResource(anything))
  );
}

async function prefixed(provider: Provider, context: BuildContext): Promise<PrefixTransformer> {
  const { aesgcm, aescbc, secretbox, kms } = provider;
  if (aesgcm) return keyed("k8s:enc:aesgcm:v1:", "AES", aesgcm.keys, gcm);
  if (aescbc) return keyed("k8s:enc:aescbc:v1:", "AES", aescbc.keys, cbc);
  if (secretbox) {
    const { secretbox: make } = await import("./secretbox.ts");
    return keyed("k8s:enc:secretbox:v1:", "Secretbox", secretbox.keys, make);
  }
  if (kms) {
    const { transformer } = await context.kms(kms);
    return { prefix: Buffer.from(`k8s:enc:kms:v2:${kms.name}:`), transformer };
  }
  return { prefix: Buffer.alloc(0), transformer: identity };
}

/** The first key writes. */
function keyed(prefix: string, kind: string, keys: Keys, make: (secret: Buffer) => Transformer): PrefixTransformer {
  const [first, ...rest] = keys.map(({ name, secret }) => ({
    prefix: Buffer.from(`${name}:`),
    transformer: make(Buffer.from(secret, "base64")),
  }));
  return {
    prefix: Buffer.from(prefix),
    transformer: prefixTransformers(
      [first!, ...rest], // validated: at least one key
      `no matching key was found for the provided ${kind} transformer`,
    ),
  };
}
