/** Names of users and groups that mean something to the server itself. */
export const everyone = {
  authenticated: "system:authenticated",
  unauthenticated: "system:unauthenticated",
  anonymous: "system:anonymous",
  masters: "system:masters",
  serviceAccounts: "system:serviceaccounts",
} as const;

const accountPrefix = "system:serviceaccount:";

export const accountUserName = (namespace: string, name: string): string => `${accountPrefix}${namespace}:${name}`;

export const accountGroups = (namespace: string): string[] => [
  everyone.serviceAccounts,
  `${everyone.serviceAccounts}:${namespace}`,
];

/** Undefined when the user name isn't a service account's. */
export function parseAccountUserName(userName: string): { namespace: string; name: string } | undefined {
  if (!userName.startsWith(accountPrefix)) return undefined;
  const [namespace = "", name = "", ...more] = userName.slice(accountPrefix.length).split(":");
  return namespace && name && more.length === 0 ? { namespace, name } : undefined;
}
