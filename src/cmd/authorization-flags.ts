/** Who may do what: the flags of authorization under upstream's names. */
import {
  type AuthorizationMode,
  type AuthorizerConfiguration,
  authorizationModes,
  type ConfiguredAuthorizer,
  loadExpressionCompiler,
  parseAbacPolicies,
  parseAuthorizationConfiguration,
} from "#apiserver";
import type { FlagSpecs, FlagValues } from "#base";
import { CommandError } from "./command.ts";
import { followConfigFile, readConfigFile } from "./config-file.ts";
import { givenFlags, list, text, time } from "./flag-spec.ts";
import { reviewTarget } from "./review-target.ts";
import type { FollowedSecurity } from "./followed-security.ts";

export const authorizationFlags = {
  "authorization-mode": list(
    "MODES",
    `Who decides, in this order (default Node,RBAC): ${authorizationModes.join(", ")}.`,
  ),
  "authorization-policy-file": text("FILE", "Policies of the mode ABAC, one a line."),
  "authorization-webhook-config-file": text("FILE", "The webhook of the mode Webhook, as a kubeconfig."),
  "authorization-webhook-version": {
    type: "string",
    choices: ["v1", "v1beta1"],
    value: "VERSION",
    help: "Version of its SubjectAccessReview (default v1beta1).",
  },
  "authorization-webhook-cache-authorized-ttl": time("How long a yes is kept (default 5m0s)."),
  "authorization-webhook-cache-unauthorized-ttl": time("How long a no is kept (default 30s)."),
  "authorization-config": text("FILE", "Who decides: an AuthorizationConfiguration, instead of the flags above."),
} as const satisfies FlagSpecs;

type Values = FlagValues<typeof authorizationFlags>;

export async function readAuthorization(values: Values) {
  const file = values["authorization-config"];
  const policyFile = values["authorization-policy-file"];
  const abac = await readConfigFile("authorization-policy-file", policyFile, (given) =>
    parseAbacPolicies(given, policyFile ?? ""),
  );
  if (!file) return { abac, authorizers: await authorizersOfFlags(values) };
  const other = [...givenFlags(values, "authorization-mode"), ...givenFlags(values, "authorization-webhook-")];
  if (other.length > 0)
    throw new CommandError(
      "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined",
    );
  const compile = await loadExpressionCompiler();
  const flag = "authorization-config";
  const read = await readConfigFile(flag, file, async (given) => ({
    given,
    configured: await parseAuthorizationConfiguration(given, { compile }),
  }));
  const { given: first = "", configured = [] } = read ?? {};
  if (configured.some(({ type }) => type === "ABAC") && !abac)
    throw new CommandError("authorization-mode ABAC's authorization policy file not passed");
  const types = configured.flatMap(({ type }) => (type === "Webhook" ? [] : [type]));
  return {
    abac,
    authorizers: await withTargets(flag, configured),
    follow(followed: FollowedSecurity) {
      const apply = async (changed: string) => {
        const next = await parseAuthorizationConfiguration(changed, { compile, required: types });
        const added = next.find(
          ({ type }) => (type === "ABAC" || type === "Node" || type === "RBAC") && !types.includes(type),
        );
        if (added)
          throw new Error(
            `authorizer type ${added.type} is not allowed if it was not enabled at initial server startup`,
          );
        followed.security.setAuthorizers(await withTargets(flag, next));
      };
      followConfigFile({ ...followed, file, text: first, apply });
    },
  };
}

async function authorizersOfFlags(values: Values): Promise<readonly ConfiguredAuthorizer[] | undefined> {
  const modes = values["authorization-mode"];
  const webhookFile = values["authorization-webhook-config-file"];
  const policyFile = values["authorization-policy-file"];
  const complaints = [
    ...modes.flatMap((mode) => [
      ...(authorizationModes.includes(mode as AuthorizationMode)
        ? []
        : [`authorization-mode "${mode}" is not a valid mode`]),
      ...(mode === "ABAC" && !policyFile ? ["authorization-mode ABAC's authorization policy file not passed"] : []),
      ...(mode === "Webhook" && !webhookFile
        ? ["authorization-mode Webhook's authorization config file not passed"]
        : []),
    ]),
    ...(policyFile && !modes.includes("ABAC") ? ["cannot specify --authorization-policy-file without mode ABAC"] : []),
    ...(webhookFile && !modes.includes("Webhook")
      ? ["cannot specify --authorization-webhook-config-file without mode Webhook"]
      : []),
    ...(new Set(modes).size < modes.length
      ? [`authorization-mode [${modes.map((mode) => `"${mode}"`).join(" ")}] has mode specified more than once`]
      : []),
  ];
  if (complaints.length > 0) throw new CommandError(complaints.join("\n"));
  if (modes.length === 0) return undefined;
  const configured = modes.map((mode): AuthorizerConfiguration => {
    if (mode !== "Webhook") return { type: mode as Exclude<AuthorizationMode, "Webhook"> }; // checked above
    return {
      type: "Webhook",
      name: "default",
      webhook: {
        kubeconfigFile: webhookFile ?? "",
        version: values["authorization-webhook-version"] ?? "v1beta1",
        timeoutMs: 30_000,
        authorizedTtlMs: values["authorization-webhook-cache-authorized-ttl"] ?? 5 * 60_000,
        unauthorizedTtlMs: values["authorization-webhook-cache-unauthorized-ttl"] ?? 30_000,
        failurePolicy: "NoOpinion",
        conditions: [],
      },
    };
  });
  return withTargets("authorization-webhook-config-file", configured);
}

async function withTargets(
  flag: string,
  configured: readonly AuthorizerConfiguration[],
): Promise<ConfiguredAuthorizer[]> {
  return Promise.all(
    configured.map(async (each) =>
      each.type === "Webhook" ? { ...each, target: await reviewTarget(flag, each.webhook.kubeconfigFile) } : each,
    ),
  );
}
