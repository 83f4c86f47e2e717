/**
 * Programs that know passwords of registries (a cloud's, mostly): asked with a request on their standard input, their answers are kept as
 * long as they say. Loaded only where some are configured.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import type { TokenRequest } from "#api";
import type { Clock, Logger } from "#base";
import { parseDuration } from "#base";
import type { Client } from "#client";
import {
  type CredentialProvider,
  readCredentialProviders,
  type TokenAttributes,
} from "./credential-provider-config.ts";
import { type DockerConfig, placeMatches, type SourcedConfig } from "./keyring.ts";

export interface PluginPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
}

export interface CredentialPlugins {
  /** What the programs say of an image (a name with its registry, without tag); one that fails is logged. */
  ring(image: string, pod: PluginPod): Promise<SourcedConfig[]>;
}

export interface CredentialPluginOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of one run of a program, upstream's. */
const runMsMax = 60_000;
/** An answer is a few passwords. */
const outputBytesMax = 1024 * 1024;
/** Of one program: each is a registry, or an image; the oldest go first. */
const answersMax = 1_000;
const kind = "CredentialProviderResponse";

interface Answer {
  readonly until: number;
  readonly config: DockerConfig;
}

/** Rejects with upstream's text when the configuration is wrong. */
export async function loadCredentialPlugins(
  { configFile, binDir }: { configFile: string; binDir: string },
  options: CredentialPluginOptions,
): Promise<CredentialPlugins> {
  const plugins = (await readCredentialProviders(configFile, binDir)).map((provider) =>
    createPlugin(provider, options),
  );
  return {
    ring: async (image, pod) => (await Promise.all(plugins.map((plugin) => plugin(image, pod)))).flat(),
  };
}

function createPlugin(provider: CredentialProvider, { client, clock, log }: CredentialPluginOptions) {
  const answers = new Map<string, Answer>();
  const running = new Map<string, Promise<PluginResponse>>();

  async function provide(image: string, pod: PluginPod): Promise<SourcedConfig[]> {
    if (!provider.matchImages.some((pattern) => placeMatches(pattern, image))) return [];
    const token = provider.tokenAttributes;
    if (token?.requireServiceAccount && pod.serviceAccount === "") return [];
    const account = token && pod.serviceAccount ? await accountOf(client, token, pod) : undefined;
    if (account === "left out") return [];
    const source = account && {
      serviceAccount: { uid: account.uid, namespace: pod.namespace, name: pod.serviceAccount },
    };
    const accountKey = account ? [pod.namespace, pod.serviceAccount, account.uid, account.annotations] : [];
    if (account && token?.cacheType === "Token") accountKey.push(hashOf(account.token));
    const keyOf = (base: string) => JSON.stringify([base, accountKey]);
    const registry = image.split("/")[0] ?? "";
    for (const base of [image, registry, "<global>"]) {
      const known = answers.get(keyOf(base));
      if (known && clock.now() <= known.until) return [{ source, config: known.config }];
    }

    const runKey = JSON.stringify([image, account && hashOf(account.token), account?.annotations]);
    let run = running.get(runKey);
    if (!run) {
      run = askProgram(provider, {
        image,
        ...(account && { serviceAccountToken: account.token, serviceAccountAnnotations: account.annotations }),
      }).finally(() => running.delete(runKey));
      running.set(runKey, run);
    }
    const { cacheKeyType, cacheDuration, auth = {} } = await run;
    if (account && token?.cacheType !== "Token" && Object.values(auth).some((one) => one.password === account.token))
      throw new Error(
        "credential provider plugin returned the service account token as the password which is not allowed when service account cache type is not set to 'Token'",
      );
    const base = { Image: image, Registry: registry, Global: "<global>" }[cacheKeyType ?? ""];
    if (base === undefined)
      throw new Error(`credential provider plugin did not return a valid cacheKeyType: ${cacheKeyType ?? ""}`);
    const config = Object.fromEntries(
      Object.entries(auth).map(([place, { username = "", password = "" }]) => [place, { username, password }]),
    );
    const keepMs =
      cacheDuration === undefined ? (provider.defaultCacheDuration ?? 0) : (parseDuration(cacheDuration) ?? 0);
    if (keepMs > 0) remember(keyOf(base), { until: clock.now() + keepMs, config });
    return [{ source, config }];
  }

  function remember(key: string, answer: Answer): void {
    answers.delete(key);
    answers.set(key, answer);
    const [oldest] = answers.keys();
    if (answers.size > answersMax && oldest !== undefined) answers.delete(oldest);
  }

  return (image: string, pod: PluginPod): Promise<SourcedConfig[]> =>
    provide(image, pod).catch((error: unknown) => {
      log.error("a credential provider failed", { provider: provider.name, image, pod: pod.name, error });
      return [];
    });
}

/** "left out": an annotation that the program needs is missing, which is how an account says no. */
async function accountOf(client: Client, token: TokenAttributes, pod: PluginPod) {
  const accounts = client.resource("v1/serviceaccounts", pod.namespace);
  const { metadata } = await accounts.get(pod.serviceAccount).catch((error: Error) => {
    throw new Error(`failed to get service account: ${error.message}`);
  });
  const has = metadata.annotations ?? {};
  if (token.requiredServiceAccountAnnotationKeys.some((key) => has[key] === undefined)) return "left out";
  const wanted = [...token.requiredServiceAccountAnnotationKeys, ...token.optionalServiceAccountAnnotationKeys];
  const annotations = Object.fromEntries(
    wanted.flatMap((key) => (has[key] === undefined ? [] : [[key, has[key]]])).sort(),
  );
  const uid = metadata.uid ?? "";
  const request: TokenRequest = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    metadata: { uid },
    spec: {
      audiences: [token.serviceAccountTokenAudience],
      boundObjectRef: { apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid },
    },
  };
  const answer = await accounts
    .createSubresource<TokenRequest, TokenRequest>(pod.serviceAccount, "token", request)
    .catch((error: Error) => {
      throw new Error(`failed to get service account token: ${error.message}`);
    });
  return { uid, annotations, token: answer.status?.token ?? "" };
}

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

interface PluginResponse {
  readonly cacheKeyType?: string;
  readonly cacheDuration?: string;
  readonly auth?: Readonly<Record<string, { readonly username?: string; readonly password?: string }>>;
}

interface PluginRequest {
  readonly image: string;
  readonly serviceAccountToken?: string;
  readonly serviceAccountAnnotations?: Readonly<Record<string, string>>;
}

/** Rejects with upstream's text; what the program printed isn't in it, there may be passwords. */
async function askProgram(provider: CredentialProvider, request: PluginRequest): Promise<PluginResponse> {
  const { name, program, args, env, apiVersion } = provider;
  const own = Object.fromEntries(env.map((one) => [one.name, one.value]));
  const stdout = await new Promise<string>((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { env: { ...process.env, ...own }, timeout: runMsMax, killSignal: "SIGKILL", maxBuffer: outputBytesMax },
      (error, out, errors) => {
        if (!error) return resolve(out);
        const why = error.killed ? "context deadline exceeded" : `exit status ${error.code ?? error.signal}`;
        reject(
          new Error(`error execing credential provider plugin ${name} for image ${request.image}: ${why}: ${errors}`),
        );
      },
    );
    // A program that doesn't read its input closes it: its answer counts.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(`${JSON.stringify({ kind: "CredentialProviderRequest", apiVersion, ...request })}\n`);
  });
  const answer = readAnswer(stdout);
  if (!answer) throw new Error("error decoding credential provider plugin response from stdout");
  if (answer.apiVersion !== apiVersion)
    throw new Error(
      `apiVersion from credential plugin response did not match expected apiVersion:${apiVersion}, actual apiVersion:${answer.apiVersion ?? ""}`,
    );
  if (answer.kind !== kind)
    throw new Error(`failed to decode ${kind}, unexpected Kind: ${JSON.stringify(answer.kind ?? "")}`);
  return answer;
}

function readAnswer(text: string): (PluginResponse & { apiVersion?: string; kind?: string }) | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
