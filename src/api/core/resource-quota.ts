/** ResourceQuota: how much a namespace may have. Follows upstream's registry/core/resourcequota; the API server's admission enforces it. */
import { defineKind, type Strategy } from "../kind.ts";
import { roundResources } from "../pod-spec/default-resources.ts";
import { setOrDelete } from "../strategy.ts";
import type { ResourceQuota } from "../types.d.ts";
import { resourceQuotaColumns } from "./resource-quota/columns.ts";
import { validateQuota, validateQuotaStatus, validateQuotaUpdate } from "./resource-quota/validate.ts";

const statusStrategy: Strategy<ResourceQuota> = {
  resetFields: ["spec"],
  prepareForUpdate(quota, old) {
    setOrDelete(quota, { spec: old.spec });
  },
  validateUpdate: ({ status }) => validateQuotaStatus(status),
};

export const resourceQuotaKind = defineKind<ResourceQuota>({
  group: "",
  kind: "ResourceQuota",
  resource: "resourcequotas",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults({ spec, status }) {
    roundResources(spec?.hard);
    roundResources(status?.hard);
    roundResources(status?.used);
  },
  prepareForCreate(quota) {
    quota.status = {};
  },
  prepareForUpdate(quota, old) {
    setOrDelete(quota, { status: old.status });
  },
  validate: ({ spec }) => validateQuota(spec),
  validateUpdate: ({ spec }, old) => validateQuotaUpdate(spec, old.spec),

  subresources: { status: statusStrategy },
  columns: resourceQuotaColumns,
});
