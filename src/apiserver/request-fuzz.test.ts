/** What a request says beside its body: paths, queries, options, continue tokens, Accept. Broken ones are refused in words, never by a fault. */
import { test } from "node:test";
import { StatusError } from "#machinery";
import { fuzz } from "#testing";
import { contentTypeOf, isKnownAccept, negotiate } from "./http/media-type.ts";
import { Query } from "./query.ts";
import { decodeContinue, encodeContinue } from "./registry/continue-token.ts";
import { readListOptions, readWriteOptions } from "./registry/options.ts";
import { parseTarget } from "./request-target.ts";

const runs = 3000;

function refused(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
  }
}

test("fuzz: continue tokens are read or refused", () =>
  fuzz({
    name: "continue",
    samples: [encodeContinue("default/a", 12), encodeContinue("z", -1), "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ"],
    words: [encodeContinue("../..", 1), "-", "_", "="],
    runs,
    run: (input) => refused(() => decodeContinue(input.toString("latin1"))),
  }));

test("fuzz: queries and the options in them are read or refused", () =>
  fuzz({
    name: "options",
    samples: [
      "limit=500&continue=abc&resourceVersion=0&resourceVersionMatch=NotOlderThan&timeoutSeconds=5",
      "watch=1&allowWatchBookmarks=true&sendInitialEvents=1&labelSelector=a%3Db&fieldSelector=metadata.name%3Dx",
      "fieldManager=kubectl&dryRun=All&fieldValidation=Strict&force=true&pretty=true",
    ],
    words: [
      "%",
      "%zz",
      "%00",
      "+",
      ";",
      "&&",
      "=",
      "limit=-1",
      "limit=99999999999999999999",
      "dryRun=",
      "a=".repeat(50),
    ],
    runs,
    run(input, random) {
      const query = new Query(input.toString("latin1"));
      query.encode();
      refused(() => readListOptions(query, { watch: random.below(2) === 0 }));
      const kind = random.pick(["CreateOptions", "UpdateOptions", "PatchOptions"] as const);
      refused(() =>
        readWriteOptions(query, kind, { userAgent: input.toString("latin1"), apply: random.below(2) === 0 }),
      );
    },
  }));

test("fuzz: paths lead somewhere or nowhere", () =>
  fuzz({
    name: "path",
    samples: [
      "/api/v1/namespaces/default/pods/a/log",
      "/apis/apps/v1/deployments",
      "/api/v1/watch/nodes/x",
      "/healthz/ping",
    ],
    words: ["/..", "/.", "//", "%2f", "%2e%2e", "%00", "%", "?", "#", "\\", "/namespaces", "/proxy/a/b"],
    runs,
    run: (input) => void parseTarget(`/${input.toString("latin1")}`),
  }));

test("fuzz: headers that name media types", () =>
  fuzz({
    name: "media types",
    samples: [
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;q=0.5",
      "application/vnd.kubernetes.protobuf;stream=watch, */*;q=0.1",
      'text/html;charset="utf-8"',
    ],
    words: [";", ",", "q=", "q=1e9", '"', "*/*", "application/cbor", " "],
    runs,
    run(input, random) {
      const header = input.toString("latin1");
      const cbor = random.below(2) === 0;
      negotiate(header, () => random.below(2) === 0, { protobuf: true, cbor });
      isKnownAccept(header, { cbor });
      contentTypeOf(header);
    },
  }));
