export { type Column, defineKind, type GracefulDeletion, type Kind, type RequestUser, type Strategy, type WriteContext } from "./kind.ts";
export type * from "./types.d.ts";
