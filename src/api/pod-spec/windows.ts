/** Pods for Windows: options that only it has, fields that it doesn't have, and host process pods. */
import { isDns1123Subdomain } from "#machinery";
import type { Place } from "../place.ts";
import type { PodSpec, WindowsSecurityContextOptions } from "../types.d.ts";
import { visitContainers } from "./containers-of.ts";

const credentialKibMax = 64;
const domainCharactersMax = 256;
const userCharactersMax = 104;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const controlCharacters = /[\u0000-\u001f\u007f]/;
const netBiosName = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const dnsLabel = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
const dnsName = new RegExp(`^${dnsLabel}(?:\\.${dnsLabel})*$`);
const forbiddenInUser = /["/\\:;|=,+*?<>@[\]]/;

export function validateWindowsOptions(options: WindowsSecurityContextOptions, at: Place): void {
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: spec, runAsUserName: user } = options;
  if (name !== undefined) at.child("gmsaCredentialSpecName").invalidEach(name, isDns1123Subdomain(name));
  if (spec === "") at.child("gmsaCredentialSpec").invalid(spec, "gmsaCredentialSpec cannot be an empty string");
  else if (spec !== undefined && Buffer.byteLength(spec) > credentialKibMax * 1024) {
    at.child("gmsaCredentialSpec").invalid(spec, `gmsaCredentialSpec size must be under ${credentialKibMax} KiB`);
  }
  if (user !== undefined) at.child("runAsUserName").invalidEach(user, isWindowsUser(user));
}

/** `USER` or `DOMAIN\USER`. */
function isWindowsUser(name: string): string[] {
  if (name === "") return ["runAsUserName cannot be an empty string"];
  if (controlCharacters.test(name)) return ["runAsUserName cannot contain control characters"];
  const parts = name.split("\\");
  if (parts.length > 2) return ["runAsUserName cannot contain more than one backslash"];
  const user = parts.at(-1) ?? "";
  const domain = parts.length === 2 ? parts[0] : undefined;
  const messages: string[] = [];
  if (domain !== undefined && domain.length >= domainCharactersMax) {
    messages.push(`runAsUserName's Domain length must be under ${domainCharactersMax} characters`);
  }
  if (domain !== undefined && !netBiosName.test(domain) && !dnsName.test(domain)) {
    messages.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  }
  if (user === "") messages.push("runAsUserName's User cannot be empty");
  else if (user.length > userCharactersMax) {
    messages.push(`runAsUserName's User length must not be longer than ${userCharactersMax} characters`);
  }
  if (/^[. ]+$/.test(user)) messages.push("runAsUserName's User cannot contain only periods or spaces");
  if (forbiddenInUser.test(user)) {
    messages.push("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
  }
  return messages;
}

/** Either all containers are host processes, on the host's network, or none is. `at` is the spec. */
export function validateHostProcess(spec: PodSpec, at: Place): void {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  let count = 0;
  let hostProcesses = 0;
  visitContainers(spec, at, (container, place) => {
    count++;
    const own = container.securityContext?.windowsOptions?.hostProcess;
    if (ofPod !== undefined && own !== undefined && ofPod !== own) {
      const where = place.child("securityContext").child("windowsOptions").child("hostProcess");
      where.invalid(own, `pod hostProcess value must be identical if both are specified, was ${ofPod}`);
    }
    if (own ?? ofPod) hostProcesses++;
  });
  if (hostProcesses === 0) return;
  if (hostProcesses !== count) {
    at.invalid("", "If pod contains any hostProcess containers then all containers must be HostProcess containers");
  }
  if (!spec.hostNetwork) {
    at.child("hostNetwork").invalid(false, "hostNetwork must be true if pod contains any hostProcess containers");
  }
}

const systems = ["linux", "windows"];

/** The system a pod is for, and what that doesn't have. `at` is the spec. */
export function validateSystem(spec: PodSpec, at: Place): void {
  if (!spec.os) return;
  const { name = "" } = spec.os;
  if (name === "") at.child("os").child("name").required("cannot be empty");
  else if (!systems.includes(name)) at.child("os").notSupported(name, systems);
  else if (name === "linux") validateLinux(spec, at);
  else validateWindows(spec, at);
}

function validateLinux(spec: PodSpec, at: Place): void {
  const why = "windows options cannot be set for a linux pod";
  const option = (place: Place) => place.child("securityContext").child("windowsOptions");
  if (spec.securityContext?.windowsOptions) option(at).forbidden(why);
  visitContainers(spec, at, (container, place) => {
    if (container.securityContext?.windowsOptions) option(place).forbidden(why);
  });
}

/** In the order of upstream's checks. */
const podFieldsOfLinux = [
  "appArmorProfile",
  "seLinuxOptions",
  "seccompProfile",
  "fsGroup",
  "fsGroupChangePolicy",
  "sysctls",
  "runAsUser",
  "runAsGroup",
  "supplementalGroups",
  "supplementalGroupsPolicy",
  "seLinuxChangePolicy",
] as const;
const specFieldsOfLinux = ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"] as const;
/** Where false says the same as nothing. */
const plainFlags: ReadonlySet<string> = new Set(["hostPID", "hostIPC"]);
const containerFieldsOfLinux = [
  "appArmorProfile",
  "seLinuxOptions",
  "seccompProfile",
  "capabilities",
  "readOnlyRootFilesystem",
  "privileged",
  "allowPrivilegeEscalation",
  "procMount",
  "runAsUser",
  "runAsGroup",
] as const;

function validateWindows(spec: PodSpec, at: Place): void {
  const refuse = <T extends object>(source: T | undefined, place: Place, fields: readonly (keyof T & string)[]) => {
    for (const field of fields) {
      const value: unknown = source?.[field];
      if (value === undefined || (value === false && plainFlags.has(field))) continue;
      place.child(field).forbidden("cannot be set for a windows pod");
    }
  };
  refuse(spec.securityContext, at.child("securityContext"), podFieldsOfLinux);
  refuse(spec, at, specFieldsOfLinux);
  visitContainers(spec, at, (container, place) => {
    refuse(container.securityContext, place.child("securityContext"), containerFieldsOfLinux);
  });
}
