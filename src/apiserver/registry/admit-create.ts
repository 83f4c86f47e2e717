/** Admission of what is created without being stored: evictions, tokens, reviews, connections. */
import type { KubernetesObject } from "#machinery";
import type { AdmissionOperation } from "../admission/chain.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import type { WriteOptions } from "./options.ts";

export interface Admitted {
  readonly object: KubernetesObject | undefined;
  readonly options: Pick<WriteOptions, "dryRun" | "manager">;
}

/** May change the object; throws a StatusError to refuse. */
export async function admitCreate(core: RegistryCore, call: Call, admitted: Admitted): Promise<void> {
  await admit(core, call, { ...admitted, operation: "CREATE" });
}

/** Before a stream opens; the object is the options of the connection. */
export async function admitConnect(core: RegistryCore, call: Call, object?: KubernetesObject): Promise<void> {
  await admit(core, call, { object, options: { dryRun: false, manager: "" }, operation: "CONNECT" });
}

async function admit(
  { admission }: RegistryCore,
  call: Call,
  { object, options, operation }: Admitted & { operation: AdmissionOperation },
): Promise<void> {
  const { resource, target, user, now, warnings, audit, meter } = call;
  const request = {
    operation,
    resource,
    subresource: target.subresource,
    namespace: target.namespace,
    name: target.name || (object?.metadata?.name ?? ""),
    user,
    dryRun: options.dryRun,
    now,
    object,
    old: undefined,
    options:
      operation === "CREATE"
        ? { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1", fieldManager: options.manager }
        : {},
    warnings,
    audit,
    meter,
  };
  await admission.mutate(request);
  await admission.validate(request);
}
