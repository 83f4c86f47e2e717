/** Devices that must be made ready on the node before a pod may go there: their drivers say so in the claim's status. */
import type { DeepReadonly } from "#machinery";
import type { DeviceRequestAllocationResult } from "#api";
import type { Claim } from "./requests.ts";

/** How long drivers have. */
export const deviceBindingTimeoutMs = 600_000;

type Result = DeepReadonly<DeviceRequestAllocationResult>;

const waitsOf = ({ status }: Claim): readonly Result[] =>
  (status?.allocation?.devices?.results ?? []).filter(({ bindingConditions = [] }) => bindingConditions.length > 0);

export const hasBindingConditions = (claim: Claim): boolean => waitsOf(claim).length > 0;

/** Whether all devices are ready; an error when one will not be. */
export function areDevicesReady(claim: Claim): boolean | Error {
  if (!claim.status?.allocation) return false;
  for (const result of waitsOf(claim)) {
    const conditions = statusOf(claim, result)?.conditions;
    if (!conditions) return false;
    const isTrue = (type: string) => conditions.some((each) => each.type === type && each.status === "True");
    const failed = result.bindingFailureConditions?.find(isTrue);
    if (failed !== undefined) {
      const { reason, message } = conditions.find(({ type }) => type === failed) ?? {};
      return new Error(
        `device binding failed: claim=${claim.metadata.name}, reason=${reason}, message=${JSON.stringify(message)}`,
      );
    }
    if (!result.bindingConditions?.every(isTrue)) return false;
  }
  return true;
}

const statusOf = ({ status }: Claim, { driver, pool, device }: Result) =>
  status?.devices?.find((each) => each.driver === driver && each.pool === pool && each.device === device);

export function isBindingOverdue(claim: Claim, now: number): boolean {
  const { allocation } = claim.status ?? {};
  if (!allocation?.allocationTimestamp || !hasBindingConditions(claim)) return false;
  return Date.parse(allocation.allocationTimestamp) + deviceBindingTimeoutMs < now;
}
