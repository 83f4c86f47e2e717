/** What is made on a machine, by name: it is found by these again. */

/** The bridge that pods hang on. */
export const bridgeName = "sampan0";
export const vxlanName = "sampan-vx0";
/** In nftables. */
export const tableName = "sampan-network";
/** Ours among a machine's routes: to other nodes' pods, and to Services where no route leads anywhere. */
export const routeProtocol = { nodes: "83", services: "84" } as const;
