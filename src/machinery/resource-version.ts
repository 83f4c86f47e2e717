/** Resource versions of one resource may be compared: upstream's apimachinery/pkg/util/resourceversion. Digits without bound, never 0. */

/** As a message; undefined: it is one of a real object. */
export const whyNoResourceVersion = (text: string): string | undefined =>
  /^[1-9][0-9]*$/.test(text) ? undefined : `resource version is not well formed: ${text}`;

/** Both well formed; negative: `a` is older. */
export const compareResourceVersions = (a: string, b: string): number =>
  a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
