/**
 * Says what is wrong with the syntax, in the words of the parser that cel-go generates with ANTLR. Its messages depend on
 * how it looks ahead and how it goes on after an error (a token left out or put in, tokens skipped), so this walks the
 * grammar's network as that parser does. Too slow for right expressions; those never come here.
 */

import { buildNetwork, type Edge, type Network, type State } from "./grammar.ts";
import type { Issues } from "./issues.ts";
import { shownEscape, type Token, type TokenKind } from "./lexer.ts";

/** Recoveries after which the parser gives up, tokens that one of them skips, errors that are told. */
const recoveriesMax = 30;
const skippedMax = 256;
const reportsMax = 100;
/** Longer expressions are only told where they stop making sense: walking them takes too long. */
const tokensMax = 5_000;

/** In the order in which messages list them. */
const order: readonly TokenKind[] = [
  ...(["<EOF>", "==", "!=", "in", "<", "<=", ">=", ">", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ","] as const),
  ...(["-", "!", "?", ":", "+", "*", "/", "%", "true", "false", "null"] as const),
  ...(["NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES", "IDENTIFIER", "ESC_IDENTIFIER"] as const),
];

/** `failedAt`: the token that the parser could not use. */
export function explainSyntax(tokens: readonly Token[], failedAt: number, issues: Issues): void {
  const token = tokens[failedAt];
  if (tokens.length > tokensMax && token) {
    const complaint =
      token.kind === "<EOF>" ? "mismatched input '<EOF>' expecting more" : `extraneous input ${display(token)}`;
    issues.report(token.at, `Syntax error: ${complaint}`);
    return;
  }
  const walk = new Walk(tokens, issues);
  try {
    walk.run();
  } catch (error) {
    if (!(error instanceof GivenUp)) throw error;
    if (error.message !== "") issues.report(-1, error.message);
  }
}

class GivenUp extends Error {}

/** Leaves the rule; the message has not been told yet. */
class RuleError extends Error {
  readonly at: Token;
  constructor(message: string, at: Token) {
    super(message);
    this.at = at;
  }
}

const quoted = (text: string): string => `'${text.replace(/[\n\r\t]/g, shownEscape)}'`;
const display = (token: Token): string => quoted(token.text);

function listed(tokens: ReadonlySet<TokenKind>): string {
  const names = order
    .filter((kind) => tokens.has(kind))
    .map((kind) => (/^[A-Z_]+$|^<EOF>$/.test(kind) ? kind : `'${kind}'`));
  return names.length === 1 ? (names[0] ?? "") : `{${names.join(", ")}}`;
}

/** A rule that is being parsed, and where its caller goes on. */
interface Frame {
  readonly follow: number;
  readonly precedence: number;
  readonly parent: Frame | undefined;
}

/** One way to read what is ahead. */
interface Way {
  readonly state: number;
  readonly alternative: number;
  /** States to go on at when rules end; undefined: whatever follows the rule anywhere. */
  readonly stack: Stack | undefined;
  /** It has left the rule that the choice is in. */
  readonly outside: boolean;
}

interface Stack {
  readonly state: number;
  readonly rest: Stack | undefined;
}

class Walk {
  readonly #network: Network = buildNetwork();
  readonly #tokens: readonly Token[];
  readonly #issues: Issues;
  #position = 0;
  #state = 0;
  #frame: Frame | undefined;
  /** After an error nothing is told until a token fits again. */
  #recovering = false;
  #errorStates = new Set<number>();
  #errorPosition = -1;
  #recoveries = 0;
  #reports = 0;
  /** Decisions read the same things ahead over and over. */
  readonly #known = new Map<string, readonly Way[]>();

  constructor(tokens: readonly Token[], issues: Issues) {
    this.#tokens = tokens;
    this.#issues = issues;
  }

  run(): void {
    this.#rule("start", 0, -1);
  }

  #token(ahead = 0): Token {
    return this.#tokens[Math.min(this.#position + ahead, this.#tokens.length - 1)] as Token; // the end token is last
  }

  #stateAt(index: number): State {
    return this.#network.states[index] as State; // edges lead to states
  }

  #rule(name: string, precedence: number, follow: number): void {
    this.#frame = { follow, precedence, parent: this.#frame };
    try {
      this.#body(this.#network.starts.get(name) ?? 0);
    } catch (error) {
      if (!(error instanceof RuleError)) throw error;
      if (!this.#recovering) this.#tell(error.at, error.message);
      this.#recovering = true;
      this.#recover();
    }
    this.#frame = this.#frame?.parent;
  }

  #body(start: number): void {
    let at = start;
    let synced = false;
    for (;;) {
      const state = this.#stateAt(at);
      this.#state = at;
      if (state.kind === "end") return;
      if (state.kind !== undefined && !synced) this.#sync(state);
      // A loop is checked where it goes back, not again where it begins.
      synced = state.kind === "loopBack" && state.edges.length === 1;
      const edge = state.edges.length > 1 ? this.#choose(at, state) : (state.edges[0] as Edge); // only ends have none
      if (edge.tokens) this.#match(edge.tokens, edge.to);
      else if (edge.call) this.#rule(edge.call.rule, edge.call.precedence, edge.to);
      at = edge.to;
    }
  }

  #choose(at: number, state: State): Edge {
    const alternative = this.#predict(at, state);
    return state.edges[alternative] as Edge; // predict gives one of them
  }

  #predict(at: number, state: State): number {
    const precedence = this.#frame?.precedence ?? 0;
    const key = `${at}:${precedence}`;
    let ways = this.#known.get(key);
    if (!ways) {
      const starts = state.edges.map((edge, alternative) => ({
        ...{ state: edge.to, alternative, stack: undefined },
        outside: false,
      }));
      ways = this.#spread(starts, precedence);
      this.#known.set(key, ways);
    }
    for (let ahead = 0; ; ahead++) {
      const next = this.#token(ahead);
      const moved = ways.flatMap((way) =>
        this.#stateAt(way.state)
          .edges.filter((edge) => edge.tokens?.has(next.kind))
          .map((edge) => ({ ...way, state: edge.to })),
      );
      if (moved.length === 0) {
        const left = ways.filter((way) => way.outside).map((way) => way.alternative);
        if (left.length > 0) return Math.min(...left);
        throw this.#noViable(ahead);
      }
      ways = this.#spread(moved);
      const alternatives = new Set(ways.map((way) => way.alternative));
      if (alternatives.size <= 1 || next.kind === "<EOF>" || isAmbiguous(ways)) {
        return Math.min(...moved.map((way) => way.alternative));
      }
    }
  }

  #noViable(ahead: number): RuleError {
    const [from, to] = [this.#token(), this.#token(ahead)];
    const end = to.kind === "<EOF>" ? to.at : to.at + to.text.length;
    const text = from.kind === "<EOF>" ? from.text : this.#issues.source.slice(from.at, end);
    const message = `no viable alternative at input ${quoted(text)}`.replace(
      /^no viable alternative at input '.(true|false|null)'/,
      "mismatched input '$1' expecting IDENTIFIER",
    );
    return new RuleError(message, to);
  }

  /** All that can be reached without a token; `precedence` applies to the rule in which the ways begin. */
  #spread(starts: readonly Way[], precedence?: number): Way[] {
    const seen = new Set<string>();
    const found: Way[] = [];
    const queue = [...starts];
    for (let way = queue.pop(); way; way = queue.pop()) {
      const key = `${way.state}:${way.alternative}:${way.outside}:${stackKey(way.stack)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      found.push(way);
      const { kind, edges, rule } = this.#stateAt(way.state);
      if (kind === "end") {
        if (way.stack) queue.push({ ...way, state: way.stack.state, stack: way.stack.rest });
        else for (const state of this.#network.follows.get(rule) ?? []) queue.push({ ...way, state, outside: true });
        continue;
      }
      for (const edge of edges) {
        const isOwnRule = way.stack === undefined && !way.outside;
        if (edge.tokens) continue;
        if (edge.level !== undefined && precedence !== undefined && isOwnRule && edge.level < precedence) continue;
        if (!edge.call) queue.push({ ...way, state: edge.to });
        else {
          const state = this.#network.starts.get(edge.call.rule) ?? 0;
          queue.push({ ...way, state, stack: { state: edge.to, rest: way.stack } });
        }
      }
    }
    return found.sort((a, b) => a.alternative - b.alternative);
  }

  /** Tokens that can come next in the rule; "end": the rule can end. */
  #next(state: number): Set<TokenKind | "end"> {
    const tokens = new Set<TokenKind | "end">();
    const seen = new Set<number>();
    const visit = (at: number): boolean => {
      if (seen.has(at)) return false;
      seen.add(at);
      const { kind, edges } = this.#stateAt(at);
      if (kind === "end") return true;
      let ends = false;
      for (const edge of edges) {
        if (edge.tokens) for (const token of edge.tokens) tokens.add(token);
        else if (edge.call) visit(this.#network.starts.get(edge.call.rule) ?? 0);
        else if (visit(edge.to)) ends = true;
      }
      return ends;
    };
    if (visit(state)) tokens.add("end");
    return tokens;
  }

  /** Tokens that can come next, in the rules around when this one can end. */
  #expected(state = this.#state): Set<TokenKind> {
    const expected = this.#next(state);
    for (let frame = this.#frame; frame && expected.has("end"); frame = frame.parent) {
      expected.delete("end");
      if (frame.follow < 0) expected.add("<EOF>");
      else for (const token of this.#next(frame.follow)) expected.add(token);
    }
    expected.delete("end");
    return expected as Set<TokenKind>; // end is out
  }

  #match(tokens: ReadonlySet<TokenKind>, to: number): void {
    if (tokens.has(this.#token().kind)) {
      this.#fits();
      this.#position++;
      return;
    }
    this.#countRecovery();
    if (this.#deleteToken()) {
      this.#position++;
      return;
    }
    if (this.#expected(to).has(this.#token().kind)) {
      if (!this.#recovering) {
        this.#recovering = true;
        this.#tell(this.#token(), `missing ${listed(this.#expected())} at ${display(this.#token())}`);
      }
      return;
    }
    throw this.#mismatch();
  }

  #mismatch(): RuleError {
    const token = this.#token();
    return new RuleError(`mismatched input ${display(token)} expecting ${listed(this.#expected())}`, token);
  }

  /** When the token after this one would do, this one is left out. */
  #deleteToken(): boolean {
    if (!this.#expected().has(this.#token(1).kind)) return false;
    this.#tellUnwanted();
    this.#position++;
    this.#fits();
    return true;
  }

  #tellUnwanted(): void {
    if (this.#recovering) return;
    this.#recovering = true;
    this.#tell(this.#token(), `extraneous input ${display(this.#token())} expecting ${listed(this.#expected())}`);
  }

  #fits(): void {
    this.#recovering = false;
    this.#errorStates = new Set();
    this.#errorPosition = -1;
  }

  /** Before a choice: is there one for the next token? */
  #sync(state: State): void {
    if (this.#recovering) return;
    const next = this.#next(this.#state);
    if (next.has("end") || next.has(this.#token().kind)) return;
    if (state.kind === "loopBack") {
      this.#tellUnwanted();
      this.#skipTo(new Set([...this.#expected(), ...this.#recoverySet()]));
    } else if (!this.#deleteToken()) throw this.#mismatch();
  }

  /** Tokens at which one of the rules around could go on. */
  #recoverySet(): Set<TokenKind | "end"> {
    const set = new Set<TokenKind | "end">();
    for (let frame = this.#frame; frame && frame.follow >= 0; frame = frame.parent)
      for (const token of this.#next(frame.follow)) set.add(token);
    set.delete("end");
    return set;
  }

  #recover(): void {
    this.#countRecovery();
    const budget = { skipped: 0 };
    if (this.#errorPosition === this.#position && this.#errorStates.has(this.#state)) this.#skip(budget);
    this.#errorPosition = this.#position;
    this.#errorStates.add(this.#state);
    this.#skipTo(this.#recoverySet(), budget);
  }

  #skipTo(tokens: ReadonlySet<TokenKind | "end">, budget?: { skipped: number }): void {
    while (this.#token().kind !== "<EOF>" && !tokens.has(this.#token().kind)) this.#skip(budget);
  }

  #skip(budget?: { skipped: number }): void {
    if (budget && ++budget.skipped > skippedMax)
      throw new GivenUp(`error recovery token lookahead limit exceeded: ${skippedMax}`);
    if (this.#token().kind !== "<EOF>") this.#position++;
  }

  #countRecovery(): void {
    if (this.#recoveries++ < recoveriesMax) return;
    this.#tell(this.#token(), `error recovery attempt limit exceeded: ${recoveriesMax}`);
    throw new GivenUp();
  }

  #tell(at: Token, message: string): void {
    if (++this.#reports > reportsMax) {
      this.#issues.report(at.at, `Syntax error: More than ${reportsMax} syntax errors`);
      throw new GivenUp();
    }
    this.#issues.report(at.at, `Syntax error: ${message}`);
  }
}

function stackKey(stack: Stack | undefined): string {
  let key = "";
  for (let at = stack; at; at = at.rest) key += `,${at.state}`;
  return key;
}

/** More than one alternative stays possible wherever one is: the first wins. */
function isAmbiguous(ways: readonly Way[]): boolean {
  const byState = new Map<number, Set<number>>();
  for (const { state, alternative } of ways) {
    const known = byState.get(state);
    if (known) known.add(alternative);
    else byState.set(state, new Set([alternative]));
  }
  return [...byState.values()].every((alternatives) => alternatives.size > 1);
}
