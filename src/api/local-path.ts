/** Names that the provisioner of local volumes and the nodes that keep them agree on; what they mean is in controllers/local-path. */

export const localPathProvisionerName = "sampan.dev/local-path";
/** Of a node: its folder for volumes. Nodes without it (simulated ones) keep nothing. */
export const localPathFolderAnnotation = "sampan.dev/local-path";
/** Of a node, followed by the volume's name; its value is the folder that the node is to remove. */
export const localPathRemoveAnnotation = "remove.local-path.sampan.dev/";
