export { FakeTransport, type Intercept } from "./fake-transport.ts";
