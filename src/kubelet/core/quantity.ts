/** Quantities that may be missing, as plain numbers rounded up. */
import { quantityMilliValue, quantityValue } from "#machinery";

/** Thousandths: "0.5" is 500; missing is 0. */
export const milliOf = (quantity: string | undefined): number =>
  quantity === undefined ? 0 : quantityMilliValue(quantity);

/** Whole units: "64Mi" is 67108864; missing is 0. */
export const unitsOf = (quantity: string | undefined): number => (quantity === undefined ? 0 : quantityValue(quantity));
