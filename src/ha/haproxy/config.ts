/**
 * haproxy's configuration as text. Names and addresses come from objects of the cluster: nothing is written that isn't of an alphabet
 * without white space, quotes and line ends, so no object can add a line. Servers are in numbered slots, some of them free, so that
 * servers come and go over the runtime API and the text stays the same.
 */
import { isIP } from "node:net";
import { parseCidr } from "#api";
import { assert } from "#base";
import type { Balanced, Check, Places, Server } from "./model.ts";

export interface Slotted extends Balanced {
  /** Undefined: a free one. */
  readonly slots: readonly (Server | undefined)[];
}

/** `ns/name:80` to what haproxy takes as a name, different for different texts. */
export const safeName = (text: string): string =>
  text.replaceAll(/[^A-Za-z0-9.:-]/g, (character) => `_${character.codePointAt(0)?.toString(16)}_`);

const hostPattern = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;
/** Paths of files and URLs that are ours or an administrator's. */
const pathPattern = /^\/[A-Za-z0-9._/-]*$/;

export const isHost = (text: string): boolean => isIP(text) !== 0 || hostPattern.test(text);
const isPort = (port: number) => Number.isInteger(port) && port > 0 && port < 65_536;

function place(host: string, port: number): string {
  assert((host === "*" || isHost(host)) && isPort(port), `no place for haproxy: ${JSON.stringify(host)}:${port}`);
  return isIP(host) === 6 ? `ipv6@${host}:${port}` : `${host}:${port}`;
}

function safePath(text: string): string {
  assert(pathPattern.test(text), `no path for haproxy: ${JSON.stringify(text)}`);
  return text;
}

/** Twice as many as there are, so that a reload for want of slots is rare. */
export const slotsFor = (servers: number): number => Math.max(4, 2 ** Math.ceil(Math.log2(servers + 1)));

/** Where connects fail another server is tried, so that one that just died costs no request. */
const head = (places: Places): string[] => [
  "global",
  ...(places.socket === undefined
    ? []
    : [`  stats socket ${safePath(places.socket)} mode 600 level admin expose-fd listeners`, "  stats timeout 1m"]),
  "  # As many connections as the process may have, within reason: their memory is set aside.",
  "  fd-hard-limit 100000",
  "  # The old process of a reload lives until its last connection ends, for a day at most.",
  "  hard-stop-after 24h",
  "",
  "defaults",
  "  mode tcp",
  "  timeout connect 2s",
  "  timeout client 24h",
  "  timeout server 24h",
  "  timeout client-fin 1m",
  "  timeout server-fin 1m",
  "  timeout check 2s",
  "  retries 3",
  "  option redispatch 1",
  "  option clitcpka",
  "  option srvtcpka",
  "  balance leastconn",
  "  default-server inter 2s fastinter 500ms downinter 1s fall 2 rise 1 init-addr last,libc,none",
];

export function printConfig(balanced: readonly Slotted[], places: Places): string {
  const stats = places.stats?.split(/:(?=\d+$)/);
  return [
    "# Written by `sampan lb`, and written over.",
    ...head(places),
    ...(stats
      ? [
          ...["", "frontend stats", "  mode http", "  timeout client 30s"],
          `  bind ${place(stats[0] || "*", Number(stats[1]))}`,
          ...["  stats enable", "  stats uri /", "  stats refresh 5s"],
        ]
      : []),
    ...balanced.flatMap(printOne),
    "",
  ].join("\n");
}

function printOne(one: Slotted): string[] {
  const { name, binds, port, sources, check } = one;
  assert(/^[A-Za-z0-9_.:-]+$/.test(name), `no name for haproxy: ${JSON.stringify(name)}`);
  const ranges = sources.map((range) => {
    assert(parseCidr(range) !== undefined, `no range for haproxy: ${JSON.stringify(range)}`);
    return range;
  });
  return [
    ...["", `frontend ${name}`],
    // Beside `*`, which has the IPv4 addresses.
    ...binds.map((bind) => `  bind ${place(bind, port)}${isIP(bind) === 6 ? " v6only" : ""}`),
    ...(ranges.length > 0 ? [`  tcp-request connection reject unless { src ${ranges.join(" ")} }`] : []),
    `  default_backend ${name}`,
    ...["", `backend ${name}`],
    ...(one.sticky ? ["  balance source", "  hash-type consistent"] : []),
    ...(check.kind === "tcp"
      ? []
      : [
          "  option httpchk",
          `  http-check send meth GET uri ${safePath(check.path)} ver HTTP/1.1 hdr Host kubernetes hdr Connection close`,
          "  http-check expect status 200",
        ]),
    ...one.slots.map((server, at) => printServer(server, at, one)),
  ];
}

function printServer(server: Server | undefined, at: number, { check, endsWithServer }: Slotted): string {
  const options = [checkOptions(check), ...(endsWithServer ? ["on-marked-down shutdown-sessions"] : [])].join(" ");
  return `  server ${slotName(at)} ${server ? place(server.address, server.port) : "0.0.0.0:1"} ${options}${server ? "" : " disabled"}`;
}

export const slotName = (at: number): string => `s${at + 1}`;

function checkOptions(check: Check): string {
  if (check.kind === "tcp") return "check";
  if (check.kind === "http") return `check port ${check.port}`;
  return `check check-ssl ${check.ca === undefined ? "verify none" : `verify required ca-file ${safePath(check.ca)}`}`;
}
