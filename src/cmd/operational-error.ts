/**
 * What the outside world did to a command, said in one line with the command that mends it: disks, files, ports, folders, certificates, the container runtime.
 * Everything that isn't known here is a bug of ours, and gets a stack instead.
 */
import { PkiError } from "#apiserver";
import { CriError } from "#kubelet";
import { NetworkError } from "#network";
import { StoreError } from "#store";
import { portHolder } from "./machine.ts";

/** Undefined: not the outside world's doing. */
export function explainFailure(error: unknown): string | undefined {
  if (error instanceof StoreError) return explainStore(error);
  if (error instanceof PkiError || error instanceof NetworkError) return error.message;
  if (error instanceof CriError)
    return `the container runtime does not do what it is asked for: ${error.message.trim()}`;
  return isSystemError(error) ? explainSystem(error) : undefined;
}

interface SystemError extends NodeJS.ErrnoException {
  readonly code: string;
  readonly syscall: string;
  readonly address?: string;
  readonly port?: number;
}

/** Errors of system calls name the call; those of Node.js itself have a code only. */
function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}

function explainStore({ detail, message }: StoreError): string {
  switch (detail.code) {
    case "locked":
      return `${message}; \`sampan down\` with the same --data-dir ends it, another --data-dir starts a second cluster`;
    case "no-space":
      return `${message} (df -h ${detail.path}), or pass --data-dir PATH`;
    case "damaged":
      return `${message} (mv ${detail.path} ${detail.path}.damaged; the cluster then starts without objects)`;
    case "newer-format":
      return `${message}, or pass another --data-dir`;
    default:
      return message;
  }
}

function explainSystem(error: SystemError): string {
  const { code, message, address = "", port = 0 } = error;
  const mend =
    error.syscall === "listen" || error.syscall === "bind" ? listening(code, { address, port }) : mends[code];
  return mend ? `${message}: ${mend}` : message;
}

function listening(code: string, { address, port }: { address: string; port: number }): string | undefined {
  if (code === "EADDRINUSE")
    return `port ${port} is held by ${portHolder(port) ?? "a process that has just ended"}; stop it, or choose another port`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `no interface of this machine has the address ${address}; \`ip address\` lists those it has`;
  if (code === "EACCES") return `ports below 1024 need root: choose another port, or use sudo`;
  return undefined;
}

const mends: Readonly<Record<string, string>> = {
  EACCES: "this user may not; run it with sudo, or pass a --data-dir of your own",
  EPERM: "this user may not; run it with sudo",
  ENOSPC: "the disk is full; make room, or pass --data-dir PATH",
  EDQUOT: "this user's disk quota is used up; make room, or pass --data-dir PATH",
  EROFS: "the file system is read-only; pass --data-dir PATH on one that can be written",
  ENOTDIR: "a part of this path is a file where a folder is expected; pass another path",
  EISDIR: "this is a folder where a file is expected; pass another path",
  EEXIST: "this is a file where a folder is expected; pass another path",
  ENAMETOOLONG: "pass a shorter path",
  EMFILE: "too many open files; raise the limit with `ulimit -n 65536`",
  ENFILE: "too many open files on this machine; raise fs.file-max with sysctl",
};
