/**
 * Pages that come through a proxy subresource link to paths of their own server; through the proxy these lie below its prefix. Locations and
 * links in HTML are rewritten as upstream does it; what scripts and styles refer to is not.
 */

export interface LinkPlace {
  /** Where the client reached us, `host:port`. */
  readonly host: string;
  /** Path of the proxy, without what is behind it: `/api/v1/namespaces/x/pods/y/proxy`. */
  readonly prefix: string;
  /** `host:port` of the page's own server. */
  readonly targetHost: string;
}

const parts = /^((?:[a-z][a-z0-9+.-]*:)?(?:\/\/([^/?#]*))?)([^?#]*)(.*)$/is;

/** A link as it must be for whoever came through the proxy: a path of ours. Links to elsewhere and relative ones stay. */
export function rewriteLink(link: string, { host, prefix, targetHost }: LinkPlace): string {
  const [, origin = "", linkHost = "", path = "", rest = ""] = parts.exec(link) ?? [];
  const elsewhere = linkHost !== "" && linkHost !== targetHost && linkHost !== host;
  if (elsewhere || !path.startsWith("/")) return link;
  const placed = path.startsWith(prefix) ? path : prefix + path.replace(/\/{2,}/g, "/");
  return (linkHost !== "" && linkHost === host ? origin : "") + placed + rest;
}

/** Attributes that hold a link, by element. */
const linkAttributes: Readonly<Record<string, readonly string[]>> = {
  a: ["href"],
  applet: ["codebase"],
  area: ["href"],
  audio: ["src"],
  base: ["href"],
  blockquote: ["cite"],
  body: ["background"],
  button: ["formaction"],
  command: ["icon"],
  del: ["cite"],
  embed: ["src"],
  form: ["action"],
  frame: ["longdesc", "src"],
  head: ["profile"],
  html: ["manifest"],
  iframe: ["longdesc", "src"],
  img: ["longdesc", "src", "usemap"],
  input: ["src", "usemap", "formaction"],
  ins: ["cite"],
  link: ["href"],
  object: ["classid", "codebase", "data", "usemap"],
  q: ["cite"],
  script: ["src"],
  source: ["src"],
  video: ["poster", "src"],
};

/** A tag that is longer is passed on as it is: the page is no HTML, or somebody embeds files in attributes. */
const tagCharactersMax = 256 * 1024;
const tagStart = /<(?=[a-z])/gi;
const elementName = /^<([a-z][^\s/>]*)/i;
const attribute = /([^\s"'>/=]+)(\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))/g;
/** Their content is text, whatever it looks like. */
const rawElements = new Set(["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"]);

/** Rewrites the links of a page that comes in pieces. */
export class HtmlRewriter {
  readonly #place: LinkPlace;
  /** The start of a tag whose end hasn't come. */
  #held = "";
  /** Inside of one of `rawElements`. */
  #raw = "";

  constructor(place: LinkPlace) {
    this.#place = place;
  }

  push(text: string): string {
    return this.#rewrite(this.#held + text, false);
  }

  flush(): string {
    return this.#rewrite(this.#held, true);
  }

  #rewrite(text: string, last: boolean): string {
    this.#held = "";
    let out = "";
    let at = 0;
    const hold = (from: number): string => {
      if (last || text.length - from > tagCharactersMax) return out + text.slice(at);
      this.#held = text.slice(from);
      return out + text.slice(at, from);
    };
    for (;;) {
      const start = this.#nextTag(text, at);
      if (start < 0) {
        // A piece may end in the middle of what would be one.
        const tail = text.lastIndexOf("<");
        return tail >= at && text.length - tail < longestStart ? hold(tail) : out + text.slice(at);
      }
      const end = text.startsWith("<!--", start) ? commentEnd(text, start) : tagEnd(text, start);
      if (end < 0) return hold(start);
      out += text.slice(at, start) + this.#tag(text.slice(start, end));
      at = end;
    }
  }

  /** The next tag or comment; inside of raw text only its end. */
  #nextTag(text: string, from: number): number {
    if (this.#raw !== "") {
      const end = text.toLowerCase().indexOf(`</${this.#raw}`, from);
      if (end >= 0) this.#raw = "";
      else return -1;
      return this.#nextTag(text, end + 2);
    }
    tagStart.lastIndex = from;
    const tag = tagStart.exec(text)?.index ?? -1;
    const comment = text.indexOf("<!--", from);
    return comment >= 0 && (tag < 0 || comment < tag) ? comment : tag;
  }

  #tag(tag: string): string {
    const name = elementName.exec(tag)?.[1]?.toLowerCase() ?? "";
    if (rawElements.has(name) && !tag.endsWith("/>")) this.#raw = name;
    const links = linkAttributes[name];
    if (!links) return tag;
    const head = name.length + 1;
    const rest = tag.slice(head).replace(attribute, (whole, key: string, _equals, double, single, bare) => {
      if (!links.includes(key.toLowerCase())) return whole;
      const link: string = double ?? single ?? bare ?? "";
      const written = rewriteLink(link.replaceAll("&amp;", "&"), this.#place).replaceAll("&", "&amp;");
      return `${key}="${written.replaceAll('"', "&#34;")}"`;
    });
    return tag.slice(0, head) + rest;
  }
}

/** `</textarea` and `<!--`, cut off before their last letter. */
const longestStart = 12;

function tagEnd(text: string, start: number): number {
  let quote = "";
  for (let at = start; at < text.length; at++) {
    const letter = text[at];
    if (quote !== "") {
      if (letter === quote) quote = "";
    } else if (letter === '"' || letter === "'") {
      quote = letter;
    } else if (letter === ">") {
      return at + 1;
    }
  }
  return -1;
}

function commentEnd(text: string, start: number): number {
  const end = text.indexOf("-->", start + 4);
  return end < 0 ? -1 : end + 3;
}
