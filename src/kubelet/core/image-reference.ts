/** Names of images: `registry:5000/path/name:tag@sha256:…`. The errors are those of the reference library, since people see them. */

const domainComponent = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]+)?`;
const pathComponent = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const tag = "[\\w][\\w.-]{0,127}";
const digest = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
const pattern = new RegExp(`^((?:${domain}/)?${pathComponent}(?:/${pathComponent})*)(?::(${tag}))?(?:@(${digest}))?$`);
const repositoryLengthMax = 255;

export interface ImageReference {
  /** As written, without tag and digest. */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

/** Throws an error that says what is wrong with the name. */
export function parseImageReference(image: string): ImageReference {
  const fail = (why: string) => new Error(`couldn't parse image reference ${JSON.stringify(image)}: ${why}`);
  if (/^[a-f0-9]{64}$/.test(image))
    throw fail(`invalid repository name (${image}), cannot specify 64-byte hexadecimal strings`);
  const match = pattern.exec(image);
  if (match) {
    const [, repository = "", tagOf, digestOf] = match;
    const slash = repository.indexOf("/");
    const first = slash < 0 ? "" : repository.slice(0, slash);
    // `Demo/upper` could be a host called Demo, but without a dot, port or "localhost" it is a path, which is lower-case.
    const isDomain = /[.:]/.test(first) || first === "localhost";
    if (isDomain || repository.toLowerCase() === repository) {
      if (repository.length > repositoryLengthMax) throw fail("repository name must not be more than 255 characters");
      return { repository, tag: tagOf, digest: digestOf };
    }
  }
  const withoutTag = image.replace(/@.*$/, "").replace(/:[^/]*$/, "");
  if (withoutTag.toLowerCase() !== withoutTag && pattern.test(image.toLowerCase()))
    throw fail("invalid reference format: repository name must be lowercase");
  throw fail("invalid reference format");
}

/** Adds `:latest` when there is neither tag nor digest. Throws as `parseImageReference`. */
export function withDefaultTag(image: string): string {
  const reference = parseImageReference(image);
  return reference.tag || reference.digest ? image : `${image}:latest`;
}

/** The repository as registries know it, with its domain: `busybox:1` is of `docker.io/library/busybox`. Throws as `parseImageReference`. */
export function imageRepository(image: string): string {
  const { repository } = parseImageReference(image);
  const [first = "", ...rest] = repository.split("/");
  const hasDomain = rest.length > 0 && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  if (hasDomain && first !== "index.docker.io" && first !== "docker.io") return repository;
  const path = hasDomain ? rest.join("/") : repository;
  return `docker.io/${path.includes("/") ? path : `library/${path}`}`;
}

/** As written, without tag and digest. Throws as `parseImageReference`. */
export const withoutTag = (image: string): string => parseImageReference(image).repository;
