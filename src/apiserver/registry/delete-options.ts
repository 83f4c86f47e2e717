/** DeleteOptions: from the body if there is one, else from the query. */
import { statusError, validateDeleteOptions } from "#machinery";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { decodeBody } from "./decode.ts";
import type { DeleteOptions } from "./deletion.ts";
import { invalidOptions, readInteger } from "./options.ts";

export async function readDeleteOptions(core: RegistryCore, call: Call): Promise<DeleteOptions> {
  const found = (await hasBody(call)) ? await fromBody(core, call) : fromQuery(call);
  const { ignoreStoreReadErrorWithClusterBreakingPotential: unsafe, ...others } = found;
  const options = core.unsafeDeletion && unsafe !== undefined ? found : others;
  const errors = validateDeleteOptions(options);
  if (errors.length > 0) throw invalidOptions("DeleteOptions", errors);
  return options;
}

async function hasBody({ body }: Call): Promise<boolean> {
  return body.value !== undefined || (await body.bytes()).length > 0;
}

async function fromBody(core: RegistryCore, call: Call): Promise<DeleteOptions> {
  const expected = { apiVersion: call.resource.groupVersion, kind: "DeleteOptions" };
  const decoded = await decodeBody(call, {
    expected,
    fieldValidation: "Ignore",
    bare: true,
    schemaOf: (apiVersion, kind) => {
      if (kind === "DeleteOptions") return core.typeOf(apiVersion, kind) ?? core.typeOf("v1", kind);
      const scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";
      throw statusError.badRequest(
        `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme ${JSON.stringify(scheme)}`,
      );
    },
    accepts: (_apiVersion, kind) => kind === "DeleteOptions",
  });
  // So the audit log of upstream has it.
  call.audit?.requestObject({ ...decoded, apiVersion: "meta.k8s.io/__internal" });
  return decoded as DeleteOptions; // checked against its type
}

function fromQuery({ query }: Call): DeleteOptions {
  const policy = query.get("propagationPolicy");
  const orphan = query.optionalBoolean("orphanDependents");
  const uid = query.get("preconditions.uid");
  const dryRun = query.all("dryRun");
  const unsafe = query.optionalBoolean("ignoreStoreReadErrorWithClusterBreakingPotential");
  if (query.has("gracePeriodSeconds") && query.get("gracePeriodSeconds") === "") {
    throw statusError.badRequest('strconv.ParseInt: parsing "": invalid syntax');
  }
  return {
    ...(query.has("gracePeriodSeconds") && { gracePeriodSeconds: readInteger(query, "gracePeriodSeconds") }),
    ...(orphan !== undefined && { orphanDependents: orphan }),
    ...(policy !== "" && { propagationPolicy: policy }),
    ...(uid !== "" && { preconditions: { uid } }),
    ...(dryRun.length > 0 && { dryRun }),
    ...(unsafe !== undefined && { ignoreStoreReadErrorWithClusterBreakingPotential: unsafe }),
  };
}
