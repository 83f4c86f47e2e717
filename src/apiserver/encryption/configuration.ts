/** The file that says which resources are stored encrypted, how, and by which keys. Follows apiserver.config.k8s.io/v1 and its validation. */
import { printDuration } from "#base";
import {
  type Configuration,
  ConfigurationError,
  decodeConfiguration,
  type FieldError,
  FieldPath,
  fieldError,
  printFieldErrors,
  shape,
} from "#machinery";

const keys = shape("AESConfiguration", { keys: [shape("Key", { name: "string", secret: "string" })] });

const kms = shape("KMSConfiguration", {
  apiVersion: "string",
  name: "string",
  cachesize: "int?",
  endpoint: "string",
  timeout: "duration?",
});

const provider = shape("ProviderConfiguration", {
  aesgcm: { optional: keys },
  aescbc: { optional: keys },
  secretbox: { optional: keys },
  identity: { optional: shape("IdentityConfiguration", {}) },
  kms: { optional: kms },
});

const encryptionKind = {
  kind: "EncryptionConfiguration",
  apiVersions: ["apiserver.config.k8s.io/v1"],
  shape: shape("EncryptionConfiguration", {
    resources: [shape("ResourceConfiguration", { resources: ["string"], providers: [provider] })],
  }),
} as const;

export type EncryptionConfiguration = Configuration<(typeof encryptionKind)["shape"]["fields"]>;
export type Provider = EncryptionConfiguration["resources"][number]["providers"][number];
export type Keys = NonNullable<Provider["aesgcm"]>["keys"];
export type KmsConfiguration = NonNullable<Provider["kms"]>;

/** Throws ConfigurationError. `reload`: it is read again when it changes, which allows a little less. */
export async function parseEncryptionConfiguration(
  text: string,
  { reload }: { reload: boolean },
): Promise<EncryptionConfiguration> {
  if (text === "") throw new ConfigurationError("encryption provider configuration file is empty");
  const configuration = withDefaults(await decodeConfiguration(text, encryptionKind));
  const errors = validate(configuration, reload);
  if (errors.length > 0) throw new ConfigurationError(printFieldErrors(errors));
  return configuration;
}

function withDefaults(configuration: EncryptionConfiguration): EncryptionConfiguration {
  const completed = ({ kms, ...others }: Provider): Provider => {
    if (!kms) return { ...others, kms };
    const apiVersion = kms.apiVersion || "v1";
    const cachesize = kms.cachesize ?? (apiVersion === "v1" ? 1_000 : undefined);
    return { ...others, kms: { ...kms, apiVersion, cachesize, timeout: kms.timeout ?? 3_000 } };
  };
  return {
    ...configuration,
    resources: configuration.resources.map((each) => ({ ...each, providers: each.providers.map(completed) })),
  };
}

const aesKeySizes = [16, 24, 32];
const secretboxKeySizes = [32];

function validate({ resources }: EncryptionConfiguration, reload: boolean): FieldError[] {
  const root = FieldPath.root("resources");
  const atLeastOne = (at: FieldPath, what: string) => fieldError.required(at, `at least one ${what} is required`);
  if (resources.length === 0) return [atLeastOne(root, "resources")];
  const kmsNames = new Set<string>();
  const errors: FieldError[] = [];
  resources.forEach(({ resources: names, providers }, i) => {
    const r = root.index(i).child("resources");
    const p = root.index(i).child("providers");
    if (names.length === 0) errors.push(atLeastOne(r, String(r)));
    errors.push(...validateOverlap(names, r));
    names.forEach((name, j) => {
      const why = nameProblem(name);
      if (why) errors.push(fieldError.invalid(r.index(j), name, why));
    });
    if (providers.length === 0) errors.push(atLeastOne(p, String(p)));
    providers.forEach((each, j) => {
      const at = p.index(j);
      const count = Object.values(each).filter((value) => value !== undefined).length;
      if (count === 0) {
        errors.push(
          fieldError.invalid(
            at,
            {},
            "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity",
          ),
        );
      }
      if (count > 1) {
        errors.push(
          fieldError.invalid(
            at,
            "REDACTED",
            "more than one provider specified in a single element, should split into different list elements",
          ),
        );
      }
      if (each.kms) {
        errors.push(...validateKms(each.kms, { at: at.child("kms"), kmsNames, reload }));
        kmsNames.add(each.kms.name);
      } else if (each.aesgcm) errors.push(...validateKeys(each.aesgcm.keys, at.child("aesgcm", "keys"), aesKeySizes));
      else if (each.aescbc) errors.push(...validateKeys(each.aescbc.keys, at.child("aescbc", "keys"), aesKeySizes));
      else if (each.secretbox)
        errors.push(...validateKeys(each.secretbox.keys, at.child("secretbox", "keys"), secretboxKeySizes));
    });
  });
  return errors;
}

export interface GroupResourceName {
  readonly group: string;
  readonly resource: string;
}

/** `deployments.apps`; `*.` is all of the core group, `*.*` everything. */
export function parseGroupResource(text: string): GroupResourceName {
  const dot = text.indexOf(".");
  return dot < 0 ? { group: "", resource: text } : { group: text.slice(dot + 1), resource: text.slice(0, dot) };
}

export const printGroupResource = ({ group, resource }: GroupResourceName): string =>
  group === "" && resource === "*" ? "*." : group === "" ? resource : `${resource}.${group}`;

function validateOverlap(names: readonly string[], at: FieldPath): FieldError[] {
  let duplicate = false;
  let overlap = false;
  const parsed = names.map(parseGroupResource);
  parsed.forEach((a, i) => {
    parsed.forEach((b, j) => {
      if (i === j) return;
      const same = a.group === b.group && a.resource === b.resource;
      if (same && !duplicate) duplicate = true;
      else if (a.group === "*" && a.resource === "*") overlap = true;
      else if (a.group === b.group && (a.resource === "*" || b.resource === "*")) overlap = true;
    });
  });
  return [
    ...(duplicate ? [fieldError.invalid(at, names, "the same resource cannot be specified multiple times")] : []),
    ...(overlap
      ? [
          fieldError.invalid(
            at,
            names,
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked",
          ),
        ]
      : []),
  ];
}

const withoutApi = new Set(["apiserveripinfo", "serviceipallocations", "servicenodeportallocations"]);

function nameProblem(name: string): string | undefined {
  if (name.toLowerCase() !== name) return "resource name should not contain capital letters";
  if (name === "*") return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources";
  if (withoutApi.has(name)) return "resources which do not have REST API/s cannot be encrypted";
  const { group, resource } = parseGroupResource(name);
  if (group === "events.k8s.io")
    return "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file";
  if (group === "extensions") return "'extensions' group has been removed and cannot be used for encryption";
  if (group === "*" && resource !== "*") return "encrypting the same resource across groups is not supported";
  return undefined;
}

const isBase64 = (text: string): boolean =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text.replace(/[\r\n]/g, ""));

function validateKeys(list: Keys, at: FieldPath, sizes: readonly number[]): FieldError[] {
  if (list.length === 0) return [fieldError.required(at, "at least one keys is required")];
  return list.flatMap(({ name, secret }, i) => {
    const place = at.index(i);
    const errors: FieldError[] = [];
    if (name === "") errors.push(fieldError.required(place.child("name"), "name is a mandatory field for a key"));
    // What is wrong with a secret is told without it.
    const wrong = (why: string) => errors.push(fieldError.invalid(place.child("secret"), "REDACTED", why));
    const bytes = Buffer.from(secret, "base64").length;
    if (secret === "") errors.push(fieldError.required(place.child("secret"), "secret is a mandatory field for a key"));
    else if (!isBase64(secret)) wrong("secrets must be base64 encoded");
    else if (!sizes.includes(bytes))
      wrong(`secret is not of the expected length, got ${bytes}, expected one of [${sizes.join(" ")}]`);
    return errors;
  });
}

function validateKms(
  { apiVersion, name, timeout = 0, endpoint, cachesize }: KmsConfiguration,
  { at, kmsNames, reload }: { at: FieldPath; kmsNames: ReadonlySet<string>; reload: boolean },
): FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (field: string, value: unknown, why: string) =>
    errors.push(fieldError.invalid(at.child(field), value, why));
  if (name === "") errors.push(fieldError.required(at.child("name"), "name is a mandatory field for a provider"));
  if (apiVersion !== "v1" && name.includes(":"))
    refuse("name", name, `invalid KMS provider name ${name}, must not contain ':'`);
  if ((reload || apiVersion !== "v1") && kmsNames.has(name))
    refuse("name", name, `duplicate KMS provider name ${name}, names must be unique`);
  if (timeout <= 0) refuse("timeout", printDuration(timeout), "timeout should be a positive value");
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(endpoint)?.[1] ?? "";
  if (endpoint === "") refuse("endpoint", "", "endpoint is a mandatory field for a kms");
  else if (scheme !== "unix")
    refuse(
      "endpoint",
      endpoint,
      `unsupported scheme ${JSON.stringify(scheme)} for KMS provider, only unix is supported`,
    );
  if (apiVersion !== "v1" && cachesize !== undefined)
    refuse("cachesize", cachesize, "cachesize is not supported in v2");
  if (apiVersion === "v1" && cachesize === 0)
    refuse("cachesize", cachesize, "cachesize should be a positive value, or negative to disable");
  if (apiVersion !== "v1" && apiVersion !== "v2")
    refuse(
      "apiVersion",
      apiVersion,
      "unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported",
    );
  return errors;
}
