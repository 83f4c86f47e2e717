/** Where Ingresses are served. */
import { isIP } from "node:net";
import { FlagError, type FlagSpecs, type FlagValues } from "#base";

const port = (scheme: string, standard: number) =>
  ({
    type: "int",
    default: standard,
    min: 0,
    max: 65535,
    value: "PORT",
    help: `Port for ${scheme} of Ingresses, open while there are some; 0: none.`,
  }) as const;

export const ingressFlags = {
  "ingress-http-port": port("HTTP", 80),
  "ingress-https-port": port("HTTPS", 443),
  "ingress-trusted-proxies": {
    type: "strings",
    value: "CIDR",
    help: "Proxies before the Ingress ports, whose X-Forwarded headers about their clients are believed.",
  },
} as const satisfies FlagSpecs;
export type IngressValues = FlagValues<typeof ingressFlags>;

/** What `runIngress` is told by flags. */
export function readIngressFlags(values: IngressValues) {
  const trustedProxies = values["ingress-trusted-proxies"].flatMap((text) => text.split(",")).filter(Boolean);
  for (const range of trustedProxies) checkRange(range);
  return {
    ports: { http: values["ingress-http-port"], https: values["ingress-https-port"] },
    trustedProxies,
  };
}

function checkRange(range: string): void {
  const [address = "", bits, more] = range.split("/");
  const most = isIP(address) === 6 ? 128 : 32;
  const isGood = isIP(address) !== 0 && more === undefined && (bits === undefined || /^\d{1,3}$/.test(bits));
  if (!isGood || Number(bits ?? 0) > most)
    throw new FlagError(
      `--ingress-trusted-proxies ${JSON.stringify(range)}: want an address or a range such as 10.0.0.0/8`,
    );
}
