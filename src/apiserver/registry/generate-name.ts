/** Names from `generateName`: five random characters that can't spell a word, as upstream. */
import { randomInt } from "node:crypto";

const alphabet = "bcdfghjklmnpqrstvwxz2456789";
const suffixLength = 5;
/** The whole name fits a DNS label. */
const baseLengthMax = 63 - suffixLength;
/** Attempts when the generated name is taken. */
export const generateAttemptsMax = 8;

export function generateName(base: string, random: (below: number) => number = randomInt): string {
  let suffix = "";
  for (let i = 0; i < suffixLength; i++) suffix += alphabet[random(alphabet.length)];
  return base.slice(0, baseLengthMax) + suffix;
}
