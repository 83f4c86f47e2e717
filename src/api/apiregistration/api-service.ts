/** APIService: a version of a group, served here or by a service. Follows kube-aggregator's registry/apiservice. */
import {
  type FieldError,
  formatTime,
  goQuote,
  isDns1035Label,
  isDns1123Subdomain,
  isPathSegmentName,
  isPortNumber,
} from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { resetMetaForStatus, setOrDelete } from "../strategy.ts";
import type { APIService, APIServiceSpec, ApiregistrationV1ServiceReference } from "../types.d.ts";

const defaultPort = 443;
const groupPriorityMax = 20_000;
const versionPriorityMax = 1000;

function validateService({ metadata, spec }: APIService): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("spec", errors);
  const { group = "", version = "", groupPriorityMinimum: groupPriority = 0, versionPriority = 0 } = spec ?? {};
  const wanted = `${version}.${group}`;
  const name = metadata.name ?? "";
  // A name that can't stand in a path is refused for that alone.
  if (name !== wanted && isPathSegmentName(name).length === 0) {
    const why = `must be \`spec.version+"."+spec.group\`: ${goQuote(wanted)}`;
    Place.root("metadata", errors).child("name").invalid(name, why);
  }
  if (group === "" && version !== "v1") {
    at.child("group").required("only v1 may have an empty group and it better be legacy kube");
  }
  if (group !== "") at.child("group").invalidEach(group, isDns1123Subdomain(group));
  at.child("version").invalidEach(version, isDns1035Label(version));
  if (groupPriority <= 0 || groupPriority > groupPriorityMax) {
    const why = `must be positive and less than ${groupPriorityMax}`;
    at.child("groupPriorityMinimum").invalid(groupPriority, why);
  }
  if (versionPriority <= 0 || versionPriority > versionPriorityMax) {
    at.child("versionPriority").invalid(versionPriority, `must be positive and less than ${versionPriorityMax}`);
  }
  if (spec?.service) validateRemote(spec, spec.service, at);
  else validateLocal(spec ?? {}, at);
  return errors;
}

function validateLocal({ caBundle = "", insecureSkipTLSVerify = false }: Partial<APIServiceSpec>, at: Place): void {
  if (caBundle !== "") {
    const bytes = Buffer.byteLength(caBundle, "base64");
    at.child("caBundle").invalid(`${bytes} bytes`, "local APIServices may not have a caBundle");
  }
  if (insecureSkipTLSVerify) {
    at.child("insecureSkipTLSVerify").invalid(true, "local APIServices may not have insecureSkipTLSVerify");
  }
}

function validateRemote(spec: APIServiceSpec, service: ApiregistrationV1ServiceReference, at: Place): void {
  const place = at.child("service");
  const { namespace = "", name = "", port = 0 } = service;
  if (namespace === "") place.child("namespace").required();
  if (name === "") place.child("name").required();
  const wrong = isPortNumber(port);
  if (wrong.length > 0) place.child("port").invalid(port, `port is not valid: ${wrong.join(", ")}`);
  if (spec.insecureSkipTLSVerify && spec.caBundle) {
    at.child("insecureSkipTLSVerify").invalid(true, "may not be true if caBundle is present");
  }
}

const statuses = ["True", "False", "Unknown"];

function validateStatus({ status }: APIService): FieldError[] {
  const at = Place.root("status").child("conditions");
  status?.conditions?.forEach((condition, i) => {
    if (!statuses.includes(condition.status)) at.index(i).child("status").notSupported(condition.status, statuses);
  });
  return at.errors;
}

function printAvailable({ status }: APIService): string {
  const available = (status?.conditions ?? []).find(({ type }) => type === "Available");
  if (!available) return "Unknown";
  return available.status !== "True" && available.reason
    ? `${available.status} (${available.reason})`
    : available.status;
}

export const apiServiceKind = defineKind<APIService>({
  group: "apiregistration.k8s.io",
  kind: "APIService",
  resource: "apiservices",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,
  resetFields: ["status"],
  validateName: (name) => isPathSegmentName(name),

  defaults({ spec }) {
    if (spec?.service) spec.service.port ??= defaultPort;
  },
  prepareForCreate(service, { now }) {
    service.status = {};
    if (service.spec?.service) return;
    const message = "Local APIServices are always available";
    const lastTransitionTime = formatTime(now);
    service.status.conditions = [{ type: "Available", status: "True", lastTransitionTime, reason: "Local", message }];
  },
  prepareForUpdate(service, old) {
    setOrDelete(service, { status: old.status });
  },
  validate: validateService,
  validateUpdate: validateService,

  subresources: {
    status: {
      resetFields: ["spec", "metadata"],
      prepareForUpdate(service, old) {
        setOrDelete(service, { spec: old.spec });
        resetMetaForStatus(service, old);
      },
      validateUpdate: validateStatus,
    },
  },

  columns: [
    {
      name: "Service",
      type: "string",
      description: "The reference to the service that hosts this API endpoint.",
      of: ({ spec }) => (spec?.service ? `${spec.service.namespace}/${spec.service.name}` : "Local"),
    },
    { name: "Available", type: "string", description: "Whether this service is available.", of: printAvailable },
    ageColumn,
  ],
});
