/** placeholder replaced below */
import type { CelType } from "./types.ts";
export interface DeclType {
  readonly celType: CelType;
}
