/** The node ports of a cluster: `30000-32767`, and which of them are left to those who choose. */
const bandMin = 16;
const bandMax = 128;
const bandStep = 32;

export interface PortRange {
  readonly text: string;
  readonly first: number;
  readonly count: number;
  /** As many at the start are given out last. */
  readonly band: number;
}

/** `30000-32767`, `30000+100` (both ends in), or one port. Throws an Error in upstream's words. */
export function parsePortRange(text: string): PortRange {
  const value = text.trim();
  const match = /^(\d+)(?:([-+])(\d+))?$/.exec(value);
  if (!match) throw new Error(`unable to parse port range: ${value}`);
  const first = Number(match[1]);
  const second = match[3] === undefined ? first : Number(match[3]);
  const last = match[2] === "+" ? first + second : second;
  if (first > 65_535 || last > 65_535) throw new Error(`the port range cannot be greater than 65535: ${value}`);
  if (last < first) throw new Error(`end port cannot be less than start port: ${value}`);
  const count = last - first + 1;
  const band = count <= bandMin ? 0 : Math.min(bandMax, Math.max(bandMin, Math.floor(count / bandStep)));
  return { text: `${first}-${last}`, first, count, band };
}

export const defaultPortRange: PortRange = parsePortRange("30000-32767");

export const portInRange = ({ first, count }: PortRange, port: number): boolean =>
  port >= first && port < first + count;
