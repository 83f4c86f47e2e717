/** What the audit log counts, under upstream's names (pkg/audit/metrics); read when someone asks. */
import type { MetricRegistry } from "#base";
import type { AuditCounters } from "../audit/auditor.ts";

export function collectAudit(registry: MetricRegistry, counters: AuditCounters | undefined): void {
  const events = registry.counter("apiserver_audit_event_total", "Events sent to the audit log.", []).with();
  const rejected = registry
    .counter("apiserver_audit_requests_rejected_total", "Requests refused because they couldn't be logged.", [])
    .with();
  const errors = registry.counter("apiserver_audit_error_total", "Events lost on the way to the audit log.", [
    "plugin",
  ]);
  const levels = registry.counter("apiserver_audit_level_total", "Requests by their audit level.", ["level"]);
  if (!counters) return;
  registry.onCollect(() => {
    events.value = counters.events;
    rejected.value = counters.rejected;
    for (const [plugin, count] of counters.errors) errors.with(plugin).value = count;
    for (const [level, count] of counters.levels) levels.with(level).value = count;
  });
}
