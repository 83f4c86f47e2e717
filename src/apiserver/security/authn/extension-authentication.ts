/**
 * What extension servers must know to believe this one: the ConfigMap kube-system/extension-apiserver-authentication with the authorities of
 * clients and of the front proxy, and the headers that it speaks in. Several servers write it together, so what is there is added to; ended
 * authorities go. Upstream's cluster authentication trust controller.
 */
import { X509Certificate } from "node:crypto";
import type { Clock, Logger } from "#base";
import { isStatusError, jsonEqual, type KubernetesObject, type Transport } from "#machinery";
import type { Store } from "#store";
import { type StoredKind, storageKey } from "../../resource.ts";
import type { RequestHeaderSettings } from "./request-header.ts";

const namespace = "kube-system";
const name = "extension-apiserver-authentication";
const collection = `/api/v1/namespaces/${namespace}/configmaps`;

export interface TrustedAuthentication {
  /** PEM. */
  readonly clientAuthorities: string;
  readonly requestHeader: RequestHeaderSettings | undefined;
}

type Data = Readonly<Record<string, string>>;

/** What it must hold, given what it holds. */
export function extensionData(existing: Data, wanted: TrustedAuthentication, now: number): Data {
  const clients = joinAuthorities([existing["client-ca-file"] ?? "", wanted.clientAuthorities], now);
  const { requestHeader } = wanted;
  const proxies = joinAuthorities(
    [existing["requestheader-client-ca-file"] ?? "", requestHeader?.authorities ?? ""],
    now,
  );
  const joined = (key: string, own: readonly string[] = []) =>
    JSON.stringify([...new Set([...readList(existing[key]), ...own])]);
  const uidHeaders = joined("requestheader-uid-headers", requestHeader?.uidHeaders);
  return {
    ...(clients === "" ? {} : { "client-ca-file": clients }),
    ...(proxies === ""
      ? {}
      : {
          "requestheader-allowed-names": joined("requestheader-allowed-names", requestHeader?.allowedNames),
          "requestheader-client-ca-file": proxies,
          "requestheader-extra-headers-prefix": joined(
            "requestheader-extra-headers-prefix",
            requestHeader?.extraHeaderPrefixes,
          ),
          "requestheader-group-headers": joined("requestheader-group-headers", requestHeader?.groupHeaders),
          ...(uidHeaders === "[]" ? {} : { "requestheader-uid-headers": uidHeaders }),
          "requestheader-username-headers": joined("requestheader-username-headers", requestHeader?.usernameHeaders),
        }),
  };
}

/** Upstream's slack for clocks. */
const endSlackMs = 5 * 60_000;

function joinAuthorities(bundles: readonly string[], now: number): string {
  const found = new Map<string, string>();
  for (const block of bundles.join("\n").match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []) {
    const certificate = readCertificate(block);
    if (certificate && certificate.validToDate.getTime() > now - endSlackMs)
      found.set(certificate.fingerprint256, certificate.toString());
  }
  return [...found.values()].join("");
}

/** Undefined: somebody wrote what is no certificate. */
function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined; // it is left out
  }
}

function readList(text: string | undefined): string[] {
  try {
    const value: unknown = JSON.parse(text || "[]");
    return Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

export interface KeepingOptions {
  readonly wanted: () => TrustedAuthentication;
  /** As the server itself. */
  readonly transport: Transport;
  readonly store: Store;
  /** Of config maps. */
  readonly kind: StoredKind;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Keeping {
  /** What is wanted has changed. */
  refresh(): void;
  close(): void;
}

/** Writes it now, and again whenever somebody changes or deletes it. Resolves when it is there. */
export async function keepExtensionAuthentication(options: KeepingOptions): Promise<Keeping> {
  const { store, kind, log } = options;
  let closed = false;
  let writing = false;
  let again = false;
  const sync = async (): Promise<void> => {
    again = true;
    if (writing) return;
    writing = true;
    try {
      while (again && !closed) {
        again = false;
        await write(options);
      }
    } catch (error) {
      log.error("extension servers can't be told whom to trust", { error });
    } finally {
      writing = false;
    }
  };
  const refresh = (): void => void sync();
  await write(options);
  const cancel = store.watch({
    start: storageKey(kind, namespace, name),
    onEvents: refresh,
    // Only when the store closes: the watch begins now, so nothing it asks for can be compacted.
    onEnd: (reason) => log.debug("the trust of extension servers is no longer kept", { reason }),
  });
  return {
    refresh,
    close() {
      closed = true;
      cancel();
    },
  };
}

type ConfigMap = KubernetesObject & { data?: Record<string, string> };
/** Others write it too; whoever loses looks again. */
const attemptsMax = 5;

async function write({ transport, wanted, clock }: KeepingOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const found = (await transport
        .request({ method: "GET", path: `${collection}/${name}` })
        .catch((error: unknown) => {
          if (isStatusError(error, "NotFound")) return undefined;
          throw error;
        })) as ConfigMap | undefined; // what the path stands for
      const data = extensionData(found?.data ?? {}, wanted(), clock.now());
      if (found && jsonEqual(found.data ?? {}, data)) return;
      if (found) {
        await transport.request({ method: "PUT", path: `${collection}/${name}`, body: { ...found, data } });
        return;
      }
      const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
      await transport.request({ method: "POST", path: collection, body });
      return;
    } catch (error) {
      const lost = isStatusError(error, "Conflict") || isStatusError(error, "AlreadyExists");
      if (!lost || attempt >= attemptsMax) throw error;
    }
  }
}
