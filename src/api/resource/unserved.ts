/** Fields of devices that upstream knows but takes only where a feature is turned on that is off by default. */
import type { Device, ResourceSlice } from "../types.d.ts";

const listFields = ["ints", "bools", "strings", "versions"] as const;

const attributesOf = ({ attributes }: Device) => Object.values(attributes ?? {});
const hasLists = (device: Device): boolean =>
  attributesOf(device).some((attribute) => listFields.some((field) => attribute[field]));

/** What an object has already is kept. */
export function dropUnserved({ spec }: ResourceSlice, old?: ResourceSlice): void {
  const before = old?.spec?.devices ?? [];
  const keepsMappings = before.some(({ nodeAllocatableResourceMappings: mappings }) => mappings);
  const keepsLists = before.some(hasLists);
  for (const device of spec?.devices ?? []) {
    if (!keepsMappings) delete device.nodeAllocatableResourceMappings;
    if (keepsLists) continue;
    for (const attribute of attributesOf(device)) for (const field of listFields) delete attribute[field];
  }
}
