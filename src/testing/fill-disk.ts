import type { TestCluster } from "./cluster.ts";

/** Leaves no free page on the tmpfs that is mounted there. It can't be made smaller than its content: so almost, and then filled. */
export async function fillDisk({ run }: Pick<TestCluster, "run">, mountPoint: string): Promise<void> {
  const script =
    'mount -o remount,size=$(($(df -k --output=used "$1" | tail -n 1) + 512))k "$1"; ! head -c 10000000 /dev/zero > "$1/ballast"';
  await run("sh", "-c", script, "sh", mountPoint);
}
