/** What `import … from "sampan"` gives to tests of operators and tools; its types for them are in package-types.d.ts. */
export { scaledClock } from "./scaled-clock.ts";
export { startCluster } from "./start-cluster.ts";
