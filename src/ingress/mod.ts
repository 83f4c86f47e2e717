export { className, controllerName, defaultClassAnnotation } from "./claim.ts";
export { runIngress } from "./controller.ts";
export type { IngressOptions } from "./options.ts";
