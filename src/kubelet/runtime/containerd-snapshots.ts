/**
 * The files of an image as mounts, from containerd's own snapshot service on the CRI's socket: for releases before 2.1, whose CRI knows no
 * image mounts. Four messages of its API, told to our codec here.
 */
import { createProtobufCodec, typeFacts } from "#machinery";
import type { CriClient } from "../cri/client.ts";
import type { MountRequest } from "../volumes/mount-table.ts";

export interface Snapshots {
  /** How to mount the image's files read-only. They stay, also when the image goes, until `remove`. */
  view(key: string, image: string): Promise<readonly Omit<MountRequest, "target">[]>;
  /** No error when there is none. */
  remove(key: string): Promise<void>;
  close(): void;
}

const home = "containerd.services.snapshots.v1";
const facts = typeFacts({
  [home]: {
    Place: ["snapshotter 1 string", "key 2 string"],
    View: ["snapshotter 1 string", "key 2 string", "parent 3 string", "labels 4 {}string"],
    Mounts: ["mounts 1 []Mount"],
    Mount: ["type 1 string", "source 2 string", "target 3 string", "options 4 []string"],
    Empty: [],
  },
});
const notFound = 5;
const alreadyExists = 6;
const callMsMax = 30_000;

export async function connectSnapshots(endpoint: string, cri: CriClient): Promise<Snapshots> {
  const grpc = await import("@grpc/grpc-js");
  const codec = createProtobufCodec("proto3");
  const client = new grpc.Client(
    endpoint.startsWith("unix:") ? endpoint : `unix://${endpoint}`,
    grpc.credentials.createInsecure(),
    { "grpc.enable_http_proxy": 0 },
  );
  const metadata = new grpc.Metadata();
  // containerd keeps CRI's images in this namespace of its own.
  metadata.set("containerd-namespace", "k8s.io");
  const type = (name: string) => {
    const found = facts.type(`${home}.${name}`);
    if (!found) throw new Error(`no message ${name}`);
    return found;
  };
  const call = (
    method: string,
    { request, response, message }: { request: string; response: string; message: object },
  ) =>
    new Promise<object>((resolve, reject) => {
      client.makeUnaryRequest(
        `/${home}.Snapshots/${method}`,
        (body: object) => codec.encode(type(request), body),
        (bytes) => codec.decode(type(response), bytes),
        message,
        metadata,
        { deadline: Date.now() + callMsMax },
        (error, answer) => (error ? reject(error) : resolve(answer ?? {})),
      );
    });
  const hasCode = (error: unknown, code: number) => (error as { code?: number }).code === code; // gRPC errors have one
  let snapshotter: string | undefined;
  /** Which one the CRI unpacks into. */
  const usedSnapshotter = async (): Promise<string> => {
    const { info } = await cri.runtime.status({ verbose: true });
    const config = JSON.parse(info.config ?? "{}") as { containerd?: { snapshotter?: string } }; // the CRI plugin's own
    snapshotter = config.containerd?.snapshotter ?? "overlayfs";
    return snapshotter;
  };

  return {
    async view(key, image) {
      const { info } = await cri.image.imageStatus({ image: { image }, verbose: true });
      const { chainID: parent = "" } = JSON.parse(info.info ?? "{}") as { chainID?: string }; // likewise
      const place = { snapshotter: snapshotter ?? (await usedSnapshotter()), key };
      // Without a label that holds it, it would be garbage.
      const labels = { "containerd.io/gc.root": new Date().toISOString() };
      const message = { ...place, parent, labels };
      const { mounts = [] } = (await call("View", { request: "View", response: "Mounts", message }).catch((error) => {
        if (!hasCode(error, alreadyExists)) throw error;
        return call("Mounts", { request: "Place", response: "Mounts", message: place });
      })) as { mounts?: Omit<MountRequest, "target">[] }; // as told above
      return mounts;
    },
    async remove(key) {
      const message = { snapshotter: snapshotter ?? (await usedSnapshotter()), key };
      await call("Remove", { request: "Place", response: "Empty", message }).catch((error) => {
        if (!hasCode(error, notFound)) throw error;
      });
    },
    close: () => client.close(),
  };
}
