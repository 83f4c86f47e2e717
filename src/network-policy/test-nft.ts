/**
 * A little nft for tests: carries out our transactions, refuses what the real one would (what is missing, there twice or still pointed at), and
 * says what becomes of a packet. It knows only the words our rules use.
 */
import { isIP } from "node:net";
import { parseIp } from "#api";

export interface Packet {
  readonly hook: "forward" | "input";
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
  readonly established?: boolean;
}

export function createTestNft() {
  const chains = new Map<string, string[]>();
  const hooks = new Map<string, string>();
  const sets = new Map<string, Map<string, string>>();
  let exists = false;

  const need = <T>(value: T | undefined, line: string): T => {
    if (value === undefined) throw new Error(`nft: no such thing: ${line}`);
    return value;
  };
  const refuseIf = (bad: boolean, line: string) => {
    if (bad) throw new Error(`nft: refused: ${line}`);
  };
  const isNamed = (word: string) =>
    [...chains.values()].some((rules) => rules.some((rule) => ` ${rule} `.includes(` ${word} `))) ||
    [...sets.values()].some((elements) => [...elements.values()].some((value) => value === `goto ${word.slice(5)}`));

  function apply(script: string): number {
    const lines = script.split("\n").filter((line) => line !== "");
    for (const line of lines) run(line);
    return lines.length;
  }

  function run(line: string): void {
    const [verb, what, , , name = "", ...rest] = line.split(" ");
    const body = rest.join(" ");
    if (what === "table") {
      exists = verb === "add";
      if (exists) return;
      for (const each of [chains, hooks, sets]) each.clear();
      return;
    }
    refuseIf(!exists, line);
    if (what === "chain" && verb === "add") {
      refuseIf(chains.has(name), line);
      chains.set(name, []);
      const hook = /hook (\w+)/.exec(body)?.[1];
      if (hook) hooks.set(name, hook);
    } else if (what === "chain") {
      const rules = need(chains.get(name), line);
      if (verb === "flush") rules.length = 0;
      else {
        refuseIf(rules.length > 0 || isNamed(`jump ${name}`) || isNamed(`goto ${name}`), line);
        chains.delete(name);
      }
    } else if (what === "rule") {
      for (const [, set] of body.matchAll(/@(\S+)/g)) need(sets.get(set ?? ""), line);
      for (const [, chain] of body.matchAll(/jump (\S+)/g)) need(chains.get(chain ?? ""), line);
      need(chains.get(name), line).push(body);
    } else if (what === "set" || what === "map") {
      refuseIf(
        verb === "add" ? sets.has(name) : [...chains.values()].some((all) => all.join(" ").includes(`@${name} `)),
        line,
      );
      if (verb === "add") sets.set(name, new Map());
      else sets.delete(name);
    } else if (what === "element") {
      const elements = need(sets.get(name), line);
      for (const each of body.slice(2, -2).split(", ")) {
        const [key = "", value = ""] = each.split(" : ");
        if (verb === "delete") refuseIf(elements.get(key) !== value || !elements.delete(key), `${line}: ${each}`);
        else {
          refuseIf(elements.has(key) && elements.get(key) !== value, line);
          if (value) need(chains.get(value.slice(5)), line);
          elements.set(key, value);
        }
      }
    } else throw new Error(`nft: what is this: ${line}`);
  }

  function judge(packet: Packet): boolean {
    for (const [name, hook] of hooks) if (hook === packet.hook && walk(name, packet) === "drop") return false;
    return true;
  }

  function walk(chain: string, packet: Packet): "accept" | "drop" | undefined {
    for (const rule of chains.get(chain) ?? []) {
      const verdict = step(rule, packet);
      if (verdict) return verdict;
    }
    return undefined;
  }

  const addressNumber = (text: string) =>
    (parseIp(text)?.bytes ?? []).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const number = (text: string) => (isIP(text) ? addressNumber(text) : BigInt(text));

  function step(rule: string, packet: Packet): "accept" | "drop" | undefined {
    const family = packet.from.includes(":") ? "ip6" : "ip";
    const fields: Record<string, string | undefined> = {
      "meta l4proto": packet.protocol,
      "ct state": packet.established ? "established,related" : "new",
      iifname: '"br0"',
      "icmpv6 type": undefined,
      [`${family} saddr`]: packet.from,
      [`${family} daddr`]: packet.to,
      [`${packet.protocol} dport`]: String(packet.port),
    };
    const fieldPattern = "(?:ip6? [sd]addr|tcp dport|udp dport|sctp dport|meta l4proto|ct state|icmpv6 type|iifname)";
    let rest = rule;
    for (;;) {
      const match = new RegExp(`^(${fieldPattern}(?: \\. ${fieldPattern})*) (vmap )?(@\\S+|\\{ [^}]* \\}|\\S+) ?`).exec(
        rest,
      );
      if (!match) break;
      const [text, names = "", vmap, right = ""] = match;
      rest = rest.slice(text.length);
      const values = names.split(" . ").map((each) => fields[each]);
      if (values.includes(undefined)) return undefined;
      const value = values.join(" . ");
      const set = right.startsWith("@") ? sets.get(right.slice(1)) : undefined;
      if (vmap) {
        const target = set?.get(value);
        return target === undefined ? undefined : walk(target.slice(5), packet);
      }
      if (!(set ? set.has(value) : isOneOf(value, right))) return undefined;
    }
    if (rest === "accept") return "accept";
    if (rest === "counter drop" || rest === "drop") return "drop";
    if (rest.startsWith("jump ")) return walk(rest.slice(5), packet);
    throw new Error(`nft: what is this: ${rule}`);
  }

  function isOneOf(value: string, right: string): boolean {
    if (right === "fe80::/10") return value.startsWith("fe8");
    const options = right.startsWith("{") ? right.slice(2, -2).split(", ") : [right];
    return options.some((option) => {
      if (option === value) return true;
      const [first, last] = option.split("-");
      if (!first || !last || !/^[0-9a-f:.]+$/.test(first)) return false;
      return number(first) <= number(value) && number(value) <= number(last);
    });
  }

  return {
    apply,
    judge,
    /** All there is, in an order of its own: equal for equal tables. */
    content: () => ({
      chains: Object.fromEntries([...chains].sort()),
      sets: Object.fromEntries([...sets].sort().map(([name, all]) => [name, [...all].sort()])),
    }),
  };
}
