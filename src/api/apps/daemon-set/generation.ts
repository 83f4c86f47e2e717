/**
 * How often a daemon set's template changed. Upstream keeps it in its internal type and shows it as an annotation, which
 * clients can neither leave out nor change; here it only is the annotation.
 */
import { semanticEqual } from "../../equality.ts";
import type { DaemonSet } from "../../types.d.ts";

const annotation = "deprecated.daemonset.template.generation";

/** 0 when nobody has counted. */
export const templateGenerationOf = ({ metadata }: DaemonSet): number => {
  const count = Number(metadata.annotations?.[annotation]);
  return Number.isSafeInteger(count) ? count : 0;
};

export function setTemplateGeneration({ metadata }: DaemonSet, count: number): void {
  metadata.annotations ??= {};
  metadata.annotations[annotation] = String(count);
}

/** Of the object and of the template. */
export function countGenerations(daemonSet: DaemonSet, old: DaemonSet): void {
  const generation = old.metadata.generation ?? 0;
  const count = templateGenerationOf(old);
  const isNewTemplate = !semanticEqual(daemonSet.spec?.template, old.spec?.template);
  const isNewSpec = isNewTemplate || !semanticEqual(daemonSet.spec, old.spec);
  setTemplateGeneration(daemonSet, isNewTemplate ? count + 1 : count);
  daemonSet.metadata.generation = isNewSpec ? generation + 1 : generation;
}
