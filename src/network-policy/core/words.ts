/** Families and directions, and nft's words for them. */
export type Family = "IPv4" | "IPv6";
export type Direction = "ingress" | "egress";

/** `suffix` ends the names of sets and maps with addresses of the family; no port's name has a slash. */
export const familyWords = {
  IPv4: { ip: "ip", type: "ipv4_addr", suffix: "" },
  IPv6: { ip: "ip6", type: "ipv6_addr", suffix: "/6" },
} as const;

export const familyOf = (address: string): Family => (address.includes(":") ? "IPv6" : "IPv4");
