/**
 * What is asked of a CSI driver. Each operation connects anew, as upstream's do, so that a driver that was replaced behind its socket is
 * reached at once; what the driver can do is asked once for each operation.
 */
import { connectPlugin, PluginError } from "../../plugins/plugin-protocol.ts";

export type Capability =
  | "STAGE_UNSTAGE_VOLUME"
  | "GET_VOLUME_STATS"
  | "EXPAND_VOLUME"
  | "VOLUME_CONDITION"
  | "SINGLE_NODE_MULTI_WRITER"
  | "VOLUME_MOUNT_GROUP";

export type StringMap = Readonly<Record<string, string>>;

export interface DriverCall {
  call<T = unknown>(method: string, message: object): Promise<T>;
  supports(capability: Capability): Promise<boolean>;
}

/** Of the calls of one operation together. */
export const operationMs = 2 * 60_000;

export async function withDriver<T>(
  endpoint: string,
  signal: AbortSignal,
  work: (driver: DriverCall) => Promise<T>,
): Promise<T> {
  const connection = await connectPlugin(endpoint);
  const end = Date.now() + operationMs;
  const call = <A>(method: string, message: object) =>
    connection.call<A>("csi.v1.Node", method, message, Math.max(1, end - Date.now()), signal);
  let capabilities: Promise<ReadonlySet<string>> | undefined;
  const ask = async () => {
    type Answer = { capabilities?: { rpc?: { type: string } }[] };
    const { capabilities: found = [] } = await call<Answer>("NodeGetCapabilities", {});
    return new Set(found.map(({ rpc }) => rpc?.type ?? ""));
  };
  try {
    return await work({
      call,
      async supports(capability) {
        capabilities ??= ask();
        return (await capabilities).has(capability);
      },
    });
  } finally {
    connection.close();
  }
}

/** After these the driver may still be at work: what it was asked for may come to be. */
const pending = new Set(["Canceled", "DeadlineExceeded", "Unavailable", "ResourceExhausted", "Aborted"]);
export const isFinal = (error: unknown): boolean => error instanceof PluginError && !pending.has(error.code);

const modes: Readonly<Record<string, readonly [single: string, multi: string]>> = {
  ReadWriteOnce: ["SINGLE_NODE_WRITER", "SINGLE_NODE_MULTI_WRITER"],
  ReadWriteOncePod: ["SINGLE_NODE_WRITER", "SINGLE_NODE_SINGLE_WRITER"],
  ReadOnlyMany: ["MULTI_NODE_READER_ONLY", "MULTI_NODE_READER_ONLY"],
  ReadWriteMany: ["MULTI_NODE_MULTI_WRITER", "MULTI_NODE_MULTI_WRITER"],
};

export interface CapabilityInput {
  readonly mode: "Filesystem" | "Block";
  readonly accessModes: readonly string[] | undefined;
  readonly fsType?: string | undefined;
  readonly mountFlags?: readonly string[] | undefined;
  /** Left out when the driver doesn't do that. */
  readonly fsGroup?: number | undefined;
}

/** The message of that name: how the volume is to be used. Upstream looks at the first access mode. */
export async function volumeCapability(driver: DriverCall, input: CapabilityInput): Promise<object> {
  const known = modes[input.accessModes?.[0] ?? "ReadWriteOnce"];
  const mode = known?.[(await driver.supports("SINGLE_NODE_MULTI_WRITER")) ? 1 : 0] ?? "UNKNOWN";
  const { fsType = "", mountFlags = [], fsGroup } = input;
  const volumeMountGroup = fsGroup === undefined ? "" : String(fsGroup);
  const use = input.mode === "Block" ? { block: {} } : { mount: { fsType, mountFlags, volumeMountGroup } };
  return { accessMode: { mode }, ...use };
}
