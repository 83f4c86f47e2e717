/** The file of `--image-credential-provider-config` (or a folder of them): which programs know passwords for which images. Checked as upstream. */
import { access, constants, readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import {
  decodeConfiguration,
  type FieldError,
  fieldError,
  isQualifiedName,
  printFieldErrors,
  shape,
  type ShapeValue,
} from "#machinery";
import { splitUrl } from "./keyring.ts";

const newest = "credentialprovider.kubelet.k8s.io/v1";
const versions = [newest, `${newest}alpha1`, `${newest}beta1`];
const cacheTypes = ["ServiceAccount", "Token"];

const tokenShape = shape("ServiceAccountTokenAttributes", {
  serviceAccountTokenAudience: "string",
  cacheType: "string",
  requireServiceAccount: "bool?",
  requiredServiceAccountAnnotationKeys: ["string"],
  optionalServiceAccountAnnotationKeys: ["string"],
});
const providerShape = shape("CredentialProvider", {
  name: "string",
  matchImages: ["string"],
  defaultCacheDuration: "duration?",
  apiVersion: "string",
  args: ["string"],
  env: [shape("ExecEnvVar", { name: "string", value: "string" })],
  tokenAttributes: { optional: tokenShape },
});
const kind = {
  kind: "CredentialProviderConfig",
  apiVersions: ["v1", "v1beta1", "v1alpha1"].map((version) => `kubelet.config.k8s.io/${version}`),
  shape: shape("CredentialProviderConfig", { providers: [providerShape] }),
};

export type TokenAttributes = ShapeValue<typeof tokenShape>;
export type CredentialProvider = ShapeValue<typeof providerShape> & { readonly program: string };

/** Rejects with upstream's text. */
export async function readCredentialProviders(path: string, binDir: string): Promise<CredentialProvider[]> {
  if (!(await isThere(binDir))) throw new Error(`plugin binary directory ${binDir} did not exist`);
  const providers: ShapeValue<typeof providerShape>[] = [];
  for (const file of await filesOf(path)) {
    const decoded = await decodeConfiguration(await readFile(file, "utf8"), kind).catch((error: Error) => {
      throw new Error(`error decoding config ${JSON.stringify(file)}: ${error.message}`);
    });
    for (const provider of decoded.providers) {
      if (providers.some(({ name }) => name === provider.name))
        throw new Error(`duplicate provider name ${JSON.stringify(provider.name)} found in configuration file(s)`);
      providers.push(provider);
    }
  }
  const errors = check(providers);
  if (errors.length > 0) throw new Error(`failed to validate credential provider config: ${printFieldErrors(errors)}`);
  return Promise.all(
    providers.map(async (provider) => {
      const program = join(binDir, provider.name);
      if (await isThere(program, constants.X_OK)) return { ...provider, program };
      throw new Error(`plugin binary executable ${program} did not exist`);
    }),
  );
}

const isThere = (path: string, mode: number = constants.F_OK): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

async function filesOf(path: string): Promise<string[]> {
  const about = await stat(path).catch((error: Error) => {
    throw new Error(`unable to access path ${JSON.stringify(path)}: ${error.message}`);
  });
  if (!about.isDirectory()) return [path];
  const files = (await readdir(path, { withFileTypes: true }))
    .filter((entry) => !entry.isDirectory() && [".json", ".yaml", ".yml"].includes(extname(entry.name)))
    .map(({ name }) => join(path, name))
    .sort();
  if (files.length === 0) throw new Error(`no configuration files found in directory ${JSON.stringify(path)}`);
  return files;
}

function check(providers: readonly ShapeValue<typeof providerShape>[]): FieldError[] {
  const { required, invalid, notSupported } = fieldError;
  const errors: FieldError[] = [];
  const at = "providers";
  if (providers.length === 0) errors.push(required(at, "at least 1 item in plugins is required"));
  for (const { name, apiVersion, matchImages, defaultCacheDuration, tokenAttributes } of providers) {
    const nameProblem = (why: string) => errors.push(invalid(`${at}.name`, name, `provider name cannot ${why}`));
    if (name.includes("/")) nameProblem("contain '/'");
    if (name.includes(" ")) nameProblem("contain spaces");
    if (name === "." || name === "..") nameProblem(`be '${name}'`);
    if (!apiVersion) errors.push(required(`${at}.apiVersion`));
    else if (!versions.includes(apiVersion)) errors.push(notSupported(`${at}.apiVersion`, apiVersion, versions));
    if (matchImages.length === 0)
      errors.push(required(`${at}.matchImages`, "at least 1 item in matchImages is required"));
    for (const image of matchImages)
      if (!splitUrl(image)) errors.push(invalid(`${at}.matchImages`, image, `match image is invalid: ${image}`));
    const duration = `${at}.defaultCacheDuration`;
    if (defaultCacheDuration === undefined) errors.push(required(duration));
    else if (defaultCacheDuration < 0)
      errors.push(invalid(duration, `${defaultCacheDuration / 1000}s`, "must be greater than or equal to 0"));
    if (tokenAttributes) errors.push(...checkToken(tokenAttributes, apiVersion));
  }
  return errors;
}

function checkToken(token: TokenAttributes, apiVersion: string): FieldError[] {
  const { required, forbidden, invalid, duplicate, notSupported } = fieldError;
  const path = "providers.tokenAttributes";
  const errors: FieldError[] = [];
  const { requiredServiceAccountAnnotationKeys: must, optionalServiceAccountAnnotationKeys: may, cacheType } = token;
  if (!token.serviceAccountTokenAudience) errors.push(required(`${path}.serviceAccountTokenAudience`));
  if (token.requireServiceAccount === undefined) errors.push(required(`${path}.requireServiceAccount`));
  if (apiVersion !== newest)
    errors.push(forbidden(path, `tokenAttributes is only supported for ${newest} API version`));
  if (token.requireServiceAccount === false && must.length > 0) {
    const why = "requireServiceAccount cannot be false when requiredServiceAccountAnnotationKeys is set";
    errors.push(forbidden(`${path}.requiredServiceAccountAnnotationKeys`, why));
  }
  for (const [name, keys] of Object.entries({ required: must, optional: may }))
    for (const [at, key] of keys.entries()) {
      const field = `${path}.${name}ServiceAccountAnnotationKeys`;
      for (const message of isQualifiedName(key.toLowerCase())) errors.push(invalid(field, key, message));
      if (keys.indexOf(key) !== at) errors.push(duplicate(field, key));
    }
  const both = must.filter((key) => may.includes(key)).sort();
  if (both.length > 0) errors.push(invalid(path, both, "annotation keys cannot be both required and optional"));
  if (!cacheType) {
    const why = `cacheType is required to be set when tokenAttributes is specified. Supported values are: ${cacheTypes.join(", ")}`;
    errors.push(required(`${path}.cacheType`, why));
  } else if (!cacheTypes.includes(cacheType)) errors.push(notSupported(`${path}.cacheType`, cacheType, cacheTypes));
  return errors;
}
