/** A write to something that isn't there creates it: that needs the right to create. */
import { attributesOf } from "../authorize.ts";
import { forbiddenError } from "../security/forbidden.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";

export async function authorizeCreate({ authorizer }: RegistryCore, call: Call): Promise<void> {
  const attributes = attributesOf({ user: call.user, verb: "create", target: call.target, path: "" });
  const { allowed, reason } = await authorizer.authorize(attributes);
  if (!allowed) throw forbiddenError(attributes, reason);
}
