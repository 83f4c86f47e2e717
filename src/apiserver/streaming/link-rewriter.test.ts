import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { HtmlRewriter, type LinkPlace, rewriteLink } from "./link-rewriter.ts";

const prefix = "/api/v1/namespaces/x/pods/y:80/proxy";
const place: LinkPlace = { host: "localhost:8001", prefix, targetHost: "10.0.0.7:80" };

describe("links through a proxy", () => {
  const cases: readonly [string, string][] = [
    ["/a/b?c=/d#e", `${prefix}/a/b?c=/d#e`],
    ["/", `${prefix}/`],
    ["//a//b", "//a//b"],
    ["/a//b/", `${prefix}/a/b/`],
    ["a/b", "a/b"],
    ["?x", "?x"],
    ["#top", "#top"],
    ["", ""],
    ["mailto:someone@example.com", "mailto:someone@example.com"],
    ["http://10.0.0.7:80/a", `${prefix}/a`],
    ["http://elsewhere.example/a", "http://elsewhere.example/a"],
    ["https://localhost:8001/a", `https://localhost:8001${prefix}/a`],
    [`${prefix}/a`, `${prefix}/a`],
    ["http://10.0.0.7:80", "http://10.0.0.7:80"],
  ];
  for (const [link, expected] of cases) test(link || "empty", () => assert.equal(rewriteLink(link, place), expected));
});

const page = `<!DOCTYPE html>
<!-- <a href="/comment"> --><html><head><link rel=stylesheet href=/style.css><script src='/x.js'>
if (a < b) document.write('<a href="/in/script">');</script></head>
<body><A CLASS="x > y" HREF="/a?x=1&amp;y=2">one</A> 1 < 2 <img src="/i.png" alt="/not/a/link"/>
<a name="/n">none</a><form method=post action="/f"></form><p title="/p">text</p><textarea><a href="/t"></textarea>
<a href="http://elsewhere.example/">away</a><a href='/q"uote'>q</a></body></html> <`;
const rewritten = page
  .replace("href=/style.css", `href="${prefix}/style.css"`)
  .replace("src='/x.js'", `src="${prefix}/x.js"`)
  .replace('HREF="/a?', `HREF="${prefix}/a?`)
  .replace('src="/i.png"', `src="${prefix}/i.png"`)
  .replace('action="/f"', `action="${prefix}/f"`)
  .replace(`href='/q"uote'`, `href="${prefix}/q&#34;uote"`);

describe("html rewriter", () => {
  test("rewrites attributes that hold links, nothing else", () => {
    const rewriter = new HtmlRewriter(place);
    assert.equal(rewriter.push(page) + rewriter.flush(), rewritten);
  });

  test("what upstream's end-to-end test expects", () => {
    const rewriter = new HtmlRewriter(place);
    assert.equal(
      rewriter.push('<a href="/rewriteme">test</a>') + rewriter.flush(),
      `<a href="${prefix}/rewriteme">test</a>`,
    );
  });

  test("pieces may end anywhere", (context) => {
    const seed = randomInt(2 ** 31);
    context.diagnostic(`seed ${seed}`);
    let state = seed;
    for (let round = 0; round < 300; round++) {
      const rewriter = new HtmlRewriter(place);
      let text = "";
      for (let at = 0; at < page.length; ) {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        const length = 1 + (state % (round % 2 === 0 ? 3 : 50));
        text += rewriter.push(page.slice(at, at + length));
        at += length;
      }
      assert.equal(text + rewriter.flush(), rewritten, `seed ${seed}, round ${round}`);
    }
  });

  test("a tag without an end comes through at last, and is not collected for ever", () => {
    const open = new HtmlRewriter(place);
    assert.equal(open.push('text <a href="/x') + open.flush(), 'text <a href="/x');
    const long = new HtmlRewriter(place);
    const piece = `<a href="${"x".repeat(300_000)}`;
    assert.equal(long.push(piece), piece);
  });
});
