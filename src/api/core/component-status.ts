/** ComponentStatus: how parts of the control plane are. Never stored, only shown; deprecated since 1.19. */
import { defineKind } from "../kind.ts";
import type { ComponentCondition, ComponentStatus } from "../types.d.ts";

const healthOf = ({ conditions = [] }: ComponentStatus): ComponentCondition | undefined =>
  conditions.find(({ type }) => type === "Healthy");

function printStatus(component: ComponentStatus): string {
  const health = healthOf(component);
  if (!health) return "Unknown";
  return health.status === "True" ? "Healthy" : "Unhealthy";
}

export const componentStatusKind = defineKind<ComponentStatus>({
  group: "",
  kind: "ComponentStatus",
  resource: "componentstatuses",
  storageVersion: "v1",

  columns: [
    { name: "Status", type: "string", description: "Status of the component conditions", of: printStatus },
    {
      name: "Message",
      type: "string",
      description: "Message of the component conditions",
      of: (component) => healthOf(component)?.message ?? "",
    },
    {
      name: "Error",
      type: "string",
      description: "Error of the component conditions",
      of: (component) => healthOf(component)?.error ?? "",
    },
  ],
});
