/** A container's own restart policy, with rules by exit code. */
import type { Place } from "../place.ts";
import type { Container } from "../types.d.ts";

const policies = ["Always", "Never", "OnFailure"];
const actions = ["Restart", "RestartAllContainers"];
const operators = ["In", "NotIn"];
/** Bound what the kubelet compares at every exit. */
const rulesMax = 20;
const exitCodesMax = 255;

export function validateRestartPolicy({ restartPolicy, restartPolicyRules: rules = [] }: Container, at: Place): void {
  if (restartPolicy === undefined) {
    if (rules.length === 0) return;
    at.child("restartPolicy").required("must specify restartPolicy when restart rules are used");
  } else if (!policies.includes(restartPolicy)) {
    at.child("restartPolicy").notSupported(restartPolicy, policies);
  }
  if (rules.length > rulesMax) at.child("restartPolicyRules").tooMany(rules.length, rulesMax);
  rules.forEach(({ action = "", exitCodes }, i) => {
    const place = at.child("restartPolicyRules").index(i);
    if (!actions.includes(action)) place.child("action").notSupported(action, actions);
    if (!exitCodes) {
      place.child("exitCodes").required("must be specified");
      return;
    }
    const { operator = "", values = [] } = exitCodes;
    if (!operators.includes(operator)) place.child("exitCodes").child("operator").notSupported(operator, operators);
    if (values.length > exitCodesMax) place.child("exitCodes").child("values").tooMany(values.length, exitCodesMax);
  });
}
