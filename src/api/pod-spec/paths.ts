/** Paths inside volumes and containers, and the file modes beside them. */
import type { Place } from "../place.ts";

export const hasBackstep = (path: string): boolean => path.includes("..") && path.split("/").includes("..");

export function validateNoBacksteps(path: string, at: Place): void {
  if (hasBackstep(path)) at.invalid(path, "must not contain '..'");
}

/** Relative, and never up. */
export function validateDescendingPath(path: string, at: Place): void {
  if (path.startsWith("/")) at.invalid(path, "must be a relative path");
  validateNoBacksteps(path, at);
}

/** A name that the kubelet's atomic writer doesn't need for itself: it keeps "..data" and the like. */
export function validateUnreservedPath(path: string, at: Place): void {
  validateDescendingPath(path, at);
  if (path.startsWith("..") && path !== ".." && !path.startsWith("../")) at.invalid(path, "must not start with '..'");
}

const fileModeMax = 0o777;

export function validateFileMode(mode: number | undefined, at: Place): void {
  if (mode !== undefined && (mode < 0 || mode > fileModeMax)) {
    at.invalid(mode, "must be a number between 0 and 0777 (octal), both inclusive");
  }
}
