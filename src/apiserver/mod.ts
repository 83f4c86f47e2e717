export { createApiServer, type ApiServer, type ApiServerDependencies, type ApiServerOptions } from "./server.ts";
