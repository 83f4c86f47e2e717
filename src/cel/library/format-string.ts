import type { CallValidators } from "../validators.ts";
export const formatValidators: CallValidators = {};
