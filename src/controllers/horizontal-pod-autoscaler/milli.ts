/** Amounts in thousandths: Go's int64, with its bounds. */
import { milliQuantityOf, printQuantity, quantityMilliValue } from "#machinery";

export const int64Max = 2n ** 63n - 1n;

export function milliOf(quantity: string): bigint {
  const value = quantityMilliValue(quantity);
  return Math.abs(value) >= Number(int64Max) ? (value < 0 ? -int64Max : int64Max) : BigInt(value);
}

/** Memory is shown as metrics are: in binary units where it comes out even. */
export const printMilli = (value: bigint, resource = ""): string =>
  printQuantity(milliQuantityOf(value, resource === "memory" ? "BinarySI" : "DecimalSI"));
