/** Probes and lifecycle hooks: the handlers they share and what is particular to each. */
import { isHttpHeaderName, isPortName, isPortNumber } from "#machinery";
import type { Place } from "../place.ts";
import type { HTTPGetAction, Lifecycle, LifecycleHandler, PodOS, Probe, ProbeHandler } from "../types.d.ts";
import type { AnyContainer } from "./containers-of.ts";

/** Seconds a pod has to stop; undefined when that itself is wrong. */
type GracePeriod = number | undefined;

export interface ProbeCheck {
  readonly gracePeriod: GracePeriod;
  readonly os: PodOS | undefined;
}

/** Of containers and sidecars; others may have none of these. */
export function validateLifecycleAndProbes(container: AnyContainer, at: Place, check: ProbeCheck): void {
  if (container.lifecycle) validateLifecycle(container.lifecycle, at.child("lifecycle"), check);
  const { livenessProbe, readinessProbe, startupProbe } = container;
  if (livenessProbe) validateLivenessProbe(livenessProbe, at.child("livenessProbe"), check);
  if (readinessProbe) {
    const place = at.child("readinessProbe");
    validateProbe(readinessProbe, place, check);
    const seconds = readinessProbe.terminationGracePeriodSeconds;
    if (seconds !== undefined) {
      place.child("terminationGracePeriodSeconds").invalid(seconds, "must not be set for readinessProbes");
    }
  }
  if (startupProbe) validateLivenessProbe(startupProbe, at.child("startupProbe"), check);
}

/** Startup probes have the same rule: one success is enough. */
function validateLivenessProbe(probe: Probe, at: Place, check: ProbeCheck): void {
  validateProbe(probe, at, check);
  const { successThreshold = 0 } = probe;
  if (successThreshold !== 1) at.child("successThreshold").invalid(successThreshold, "must be 1");
}

const counts = [
  "initialDelaySeconds",
  "timeoutSeconds",
  "periodSeconds",
  "successThreshold",
  "failureThreshold",
] as const;

function validateProbe(probe: Probe, at: Place, { gracePeriod }: ProbeCheck): void {
  validateHandler(probe, at, gracePeriod);
  for (const field of counts) {
    const value = probe[field];
    if (value !== undefined) at.child(field).notNegative(value);
  }
  const seconds = probe.terminationGracePeriodSeconds;
  if (seconds !== undefined && seconds <= 0) {
    at.child("terminationGracePeriodSeconds").invalid(seconds, "must be greater than 0");
  }
}

type Handler = ProbeHandler & LifecycleHandler;
type HandlerName = "exec" | "httpGet" | "tcpSocket" | "grpc" | "sleep";

function validateHandler(handler: Handler, at: Place, gracePeriod: GracePeriod): void {
  let found = false;
  const only = (name: HandlerName): boolean => {
    if (handler[name] === undefined) return false;
    if (found) at.child(name).forbidden("may not specify more than 1 handler type");
    const first = !found;
    found = true;
    return first;
  };
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  if (only("exec") && !exec?.command?.length) at.child("exec").child("command").required();
  if (only("httpGet") && httpGet) validateHttpGet(httpGet, at.child("httpGet"));
  if (only("tcpSocket") && tcpSocket) validatePort(tcpSocket.port, at.child("tcpSocket").child("port"));
  if (only("grpc") && grpc) validatePort(grpc.port, at.child("grpc").child("port"));
  if (only("sleep") && sleep) validateSleep(sleep.seconds, at.child("sleep"), gracePeriod);
  if (!found) at.required("must specify a handler type");
}

const schemes = ["HTTP", "HTTPS"];

function validateHttpGet(action: HTTPGetAction, at: Place): void {
  if (!action.path) at.child("path").required();
  validatePort(action.port, at.child("port"));
  if (!schemes.includes(action.scheme ?? "")) at.child("scheme").notSupported(action.scheme ?? "", schemes);
  for (const { name = "" } of action.httpHeaders ?? []) {
    at.child("httpHeaders").invalidEach(name, isHttpHeaderName(name));
  }
}

/** A number, or the name of a container's port. */
export function validatePort(port: number | string | undefined, at: Place): void {
  if (typeof port === "string") at.invalidEach(port, isPortName(port));
  else at.invalidEach(port ?? 0, isPortNumber(port ?? 0));
}

function validateSleep(seconds: number, at: Place, gracePeriod: GracePeriod): void {
  if (gracePeriod !== undefined && (seconds < 0 || seconds > gracePeriod)) {
    at.invalid(seconds, `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriod})`);
  }
}

function validateLifecycle(lifecycle: Lifecycle, at: Place, { gracePeriod, os }: ProbeCheck): void {
  if (lifecycle.postStart) validateHandler(lifecycle.postStart, at.child("postStart"), gracePeriod);
  if (lifecycle.preStop) validateHandler(lifecycle.preStop, at.child("preStop"), gracePeriod);
  if (lifecycle.stopSignal !== undefined) validateStopSignal(lifecycle.stopSignal, at.child("stopSignal"), os);
}

const windowsSignals = ["SIGKILL", "SIGTERM"];
const realTimeSignals = [
  "SIGRTMIN",
  ...Array.from({ length: 15 }, (_, i) => `SIGRTMIN+${i + 1}`),
  ...Array.from({ length: 14 }, (_, i) => `SIGRTMAX-${i + 1}`),
  "SIGRTMAX",
];
const linuxSignals = [
  ..."ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP"
    .split(" ")
    .concat("TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ".split(" "))
    .map((name) => `SIG${name}`),
  ...realTimeSignals,
].sort();

function validateStopSignal(signal: string, at: Place, os: PodOS | undefined): void {
  if (!os) {
    at.forbidden("may not be set for containers with empty `spec.os.name`");
    return;
  }
  const supported = os.name === "windows" ? windowsSignals : os.name === "linux" ? linuxSignals : undefined;
  if (supported && !supported.includes(signal)) at.notSupported(signal, supported);
}
