export { className, controllerName, defaultClassAnnotation } from "./claim.ts";
export { type IngressOptions, runIngress } from "./controller.ts";
