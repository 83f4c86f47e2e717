/** Every built-in kind; one line for each. Adding a kind is its own file and a line here. */
import { podKind } from "./core/pod.ts";
import { serviceKind } from "./core/service.ts";
import type { Kind } from "./kind.ts";

/** By group, then as in upstream's storage. Hooks of a kind only see objects of that kind, so its type is its own. */
export const kinds: readonly Kind[] = [podKind, serviceKind] as unknown as readonly Kind[];
