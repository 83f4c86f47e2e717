/** CSINode: which drivers a node has, and what they call the node. Follows upstream's registry/storage/csinode. */
import { type FieldError, isQualifiedName } from "#machinery";
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { validateCsiDriverName } from "../pod-spec/volume-sources.ts";
import type { CSINode, CSINodeDriver } from "../types.d.ts";

const nodeIdBytesMax = 256;

const driversOf = ({ spec }: CSINode): readonly CSINodeDriver[] => spec?.drivers ?? [];

function validateNode(node: CSINode): FieldError[] {
  const at = Place.root("spec").child("drivers");
  const names = new Set<string>();
  driversOf(node).forEach((driver, i) => {
    validateDriver(driver, at.index(i), names);
  });
  return at.errors;
}

function validateDriver(driver: CSINodeDriver, at: Place, names: Set<string>): void {
  const { name = "", nodeID = "", allocatable } = driver;
  const topologyKeys = driver.topologyKeys ?? [];
  validateCsiDriverName(name, at.child("name"));
  if (nodeID === "") at.child("nodeID").required();
  if (Buffer.byteLength(nodeID) > nodeIdBytesMax) {
    at.child("nodeID").invalid(nodeID, `must be ${nodeIdBytesMax} characters or less`);
  }
  at.child("allocatable").child("count").notNegative(allocatable?.count);
  if (names.has(name)) at.child("name").duplicate(name);
  names.add(name);
  topologyKeys.forEach((key, i) => {
    if (key === "") at.required();
    if (topologyKeys.indexOf(key) < i) at.duplicate(key);
    at.invalidEach(key, isQualifiedName(key));
  });
}

/** A driver stays what it is for as long as it is there, except for how much it can take. */
function validateUpdate(node: CSINode, old: CSINode): FieldError[] {
  const own = validateNode(node);
  // Upstream checks the node twice, which clients see.
  const errors = [...own, ...own];
  const at = Place.root("spec", errors).child("drivers");
  for (const before of driversOf(old)) {
    for (const driver of driversOf(node)) {
      if (driver.name !== before.name || semanticEqual(fixedOf(driver), fixedOf(before))) continue;
      at.invalid(printDriver(driver), "field is immutable");
    }
  }
  return errors;
}

const fixedOf = ({ allocatable: _, ...fixed }: CSINodeDriver) => fixed;

/** As Go prints it. */
const printDriver = ({ name: Name, nodeID: NodeID, topologyKeys: TopologyKeys }: CSINodeDriver) => ({
  Name,
  NodeID,
  TopologyKeys: TopologyKeys?.length ? TopologyKeys : null,
  Allocatable: null,
});

export const csiNodeKind = defineKind<CSINode>({
  group: "storage.k8s.io",
  kind: "CSINode",
  resource: "csinodes",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  validate: validateNode,
  validateUpdate,

  columns: [
    {
      name: "Drivers",
      type: "integer",
      description: "Drivers indicates the number of CSI drivers registered on the node",
      of: (node) => driversOf(node).length,
    },
    ageColumn,
  ],
});
