/** `sampan token create|list|delete`: what machines join with, as kubeadm's command of that name has it. */
import { existsSync } from "node:fs";
import { isIP } from "node:net";
import type { Secret } from "#api";
import { type FlagSpecs, type FlagValues, realClock } from "#base";
import {
  type Client,
  createClient,
  createHttpsTransport,
  kubeconfigPaths,
  kubeconfigTarget,
  readKubeconfig,
} from "#client";
import { isStatusError, shortHumanDuration, writtenTimeMs } from "#machinery";
import {
  defaultGroups,
  defaultUsages,
  makeToken,
  parseToken,
  tokenNamespace,
  tokenSecret,
  tokenSecretPrefix,
  tokenSecretType,
} from "./bootstrap-token.ts";
import { CommandError, defineCommand } from "./command.ts";
import { keyHash } from "./discovery.ts";
import { list, text } from "./flag-spec.ts";
import { dataLayout, placeFlags } from "./settings.ts";

const dayMs = 24 * 3_600_000;

const flags = {
  config: placeFlags.config,
  "data-dir": placeFlags["data-dir"],
  kubeconfig: text(
    "FILE",
    "How to reach the API server (default: the administrator's in the data folder, then $KUBECONFIG).",
  ),
  ttl: { type: "duration", default: dayMs, value: "TIME", help: "create: how long it may be used; 0: for ever." },
  description: text("TEXT", "create: what it is for."),
  usages: { ...list("USAGE", "create: signing, authentication or both."), default: defaultUsages },
  groups: {
    ...list("GROUP", "create: whom it makes its holder, beside system:bootstrappers."),
    default: defaultGroups,
  },
  "print-join-command": { type: "bool", help: "create: print the whole `sampan agent` line." },
  server: text("URL", "create: with --print-join-command, where machines reach the server."),
} as const satisfies FlagSpecs;
type Values = FlagValues<typeof flags>;

const idPattern = /^[a-z0-9]{6}$/;
const groupPattern = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

export const command = defineCommand({
  summary: "Make, list and delete tokens that machines join with",
  usage: "create [TOKEN] | list | delete TOKEN…",
  flags,
  async run({ flags: values, positionals, out }) {
    const [action, ...names] = positionals;
    const known = { create: names.length <= 1, list: names.length === 0, delete: names.length > 0 };
    if (!action || !Object.hasOwn(known, action) || !known[action as keyof typeof known])
      throw new CommandError(
        `want create [TOKEN], list or delete TOKEN…, have ${JSON.stringify(positionals.join(" "))}`,
      );
    const made = action === "create" ? checkedSecret(values, names[0]) : undefined;
    const { client, server, authority, close } = await openCluster(values);
    try {
      if (made) {
        await createToken(client, made.secret);
        const line = async () =>
          `sampan agent --server ${values.server ?? (await serverFor(client, server))} --token ${made.token} --ca-cert-hash ${keyHash(authority)}`;
        out(`${values["print-join-command"] ? await line() : made.token}\n`);
      } else if (action === "list") out(printTokens(await listTokens(client)));
      else for (const name of names) out(await deleteToken(client, name));
    } finally {
      close();
    }
    return 0;
  },
});

function checkedSecret(values: Values, given: string | undefined): { secret: Secret; token: string } {
  const { ttl, usages, groups, description } = values;
  const token = given === undefined ? makeToken() : parseToken(given);
  if (!token) throw new CommandError(`${given}: the bootstrap token is invalid: want [a-z0-9]{6}.[a-z0-9]{16}`);
  const wrong = usages.filter((usage) => !(defaultUsages as readonly string[]).includes(usage));
  if (wrong.length > 0)
    throw new CommandError(
      `invalid bootstrap token usage string: ${wrong.sort().join(",")}, valid usage options: ${defaultUsages.join(",")}`,
    );
  // Adding groups only makes sense for authentication.
  const isGiven = groups !== defaultGroups;
  if (isGiven && groups.length > 0 && !usages.includes("authentication"))
    throw new CommandError('token groups cannot be specified unless --usages includes "authentication"');
  const bad = groups.find((group) => !groupPattern.test(group));
  if (bad !== undefined)
    throw new CommandError(
      `bootstrap group ${JSON.stringify(bad)} is invalid (must match \\Asystem:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]\\z)`,
    );
  const expiresAt = ttl > 0 ? realClock.now() + ttl : undefined;
  return {
    secret: tokenSecret(token, { expiresAt, usages, groups, description }),
    token: `${token.id}.${token.secret}`,
  };
}

async function createToken(client: Client, secret: Secret): Promise<void> {
  try {
    await client.resource("v1/secrets", tokenNamespace).create(secret);
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists")) throw error;
    const id = secret.metadata.name?.slice(tokenSecretPrefix.length);
    throw new CommandError(`a token with id ${JSON.stringify(id)} already exists`);
  }
}

async function listTokens(client: Client): Promise<string[][]> {
  const { items } = await client
    .resource("v1/secrets", tokenNamespace)
    .list({ fieldSelector: `type=${tokenSecretType}` });
  return items.flatMap(({ metadata, data = {} }) => {
    const read = (name: string) => Buffer.from(data[name] ?? "", "base64").toString();
    const token = `${read("token-id")}.${read("token-secret")}`;
    if (!parseToken(token) || metadata.name !== tokenSecretPrefix + read("token-id")) return [];
    const expires = read("expiration");
    const usages = Object.keys(data)
      .filter((key) => key.startsWith("usage-bootstrap-") && read(key) === "true")
      .map((key) => key.slice("usage-bootstrap-".length));
    const ttl = expires === "" ? "<forever>" : shortHumanDuration(writtenTimeMs(expires) - realClock.now());
    return [
      [
        token,
        ttl.padEnd(9),
        expires || "<never>",
        (usages.sort().join(",") || "<none>").padEnd(22),
        (read("description") || "<none>").padEnd(56),
        read("auth-extra-groups") || "<none>",
      ],
    ];
  });
}

const columns = ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"];
const widthMin = 10;
const gap = 3;

/** Only the first is aligned with the heads, as kubeadm writes each by itself. */
function printTokens([first, ...rest]: readonly string[][]): string {
  if (!first) return "";
  return [[columns, first], ...rest.map((row) => [row])].map(printAligned).join("");
}

function printAligned(rows: readonly (readonly string[])[]): string {
  const widths = columns.map((_, i) => Math.max(widthMin, ...rows.map((row) => (row[i] ?? "").length + gap)));
  const last = columns.length - 1;
  return rows
    .map((row) => `${row.map((cell, i) => (i === last ? cell : cell.padEnd(widths[i] ?? 0))).join("")}\n`)
    .join("");
}

async function deleteToken(client: Client, given: string): Promise<string> {
  const id = idPattern.test(given) ? given : parseToken(given)?.id;
  if (id === undefined)
    throw new CommandError("given token didn't match pattern [a-z0-9]{6}.[a-z0-9]{16} or [a-z0-9]{6}");
  try {
    await client.resource("v1/secrets", tokenNamespace).delete(tokenSecretPrefix + id);
  } catch (error) {
    if (!isStatusError(error, "NotFound")) throw error;
    throw new CommandError(`failed to delete bootstrap token ${JSON.stringify(id)}: there is none`);
  }
  return `bootstrap token ${JSON.stringify(id)} deleted\n`;
}

async function openCluster(values: Values) {
  const own = dataLayout(values["data-dir"]).kubeconfig;
  const given = values.kubeconfig ?? (existsSync(own) ? own : undefined);
  try {
    const files = kubeconfigPaths(process.env, given);
    const { transport } = await kubeconfigTarget(await readKubeconfig(files, { mustExist: given !== undefined }));
    const opened = createHttpsTransport({ ...transport, userAgent: "sampan" });
    const { server, ca = "" } = transport;
    return { client: createClient(opened), server, authority: ca, close: () => opened.close() };
  } catch (error) {
    throw new CommandError(`--kubeconfig: ${(error as Error).message}; has a server run with this --data-dir?`);
  }
}

/** The administrator's own is often the machine's loopback; machines are told what the cluster says of itself. */
async function serverFor(client: Client, own: string): Promise<string> {
  if (!isLoopback(own)) return own;
  const { data } = await client.resource("v1/configmaps", "kube-public").get("cluster-info");
  const [, found = own] = /^\s*server: (\S+)$/m.exec(data?.kubeconfig ?? "") ?? [];
  if (isLoopback(found))
    throw new CommandError(`the cluster only knows itself as ${found}: name with --server where machines reach it`);
  return found;
}

function isLoopback(server: string): boolean {
  const { hostname } = new URL(server);
  return hostname === "localhost" || hostname === "[::1]" || (isIP(hostname) === 4 && hostname.startsWith("127."));
}
