/** What the claims of a token mean (user, groups, extra) and what must hold of them: that part of an issuer's configuration, read and validated. */
import { type FieldError, type FieldPath, fieldError, isDomainPrefixedPath } from "#machinery";
import { compileAt, type Expression } from "../expressions.ts";
import type { ClaimMapping, GivenJwt, JwtConfiguration, Reading, Rule } from "./jwt-shape.ts";

export function readClaimRules(
  rules: GivenJwt["claimValidationRules"],
  at: FieldPath,
  { compile, errors }: Reading,
): Rule[] {
  const seen = { claims: new Set<string>(), expressions: new Set<string>() };
  return rules.flatMap(({ claim, requiredValue, expression, message }, position) => {
    const path = at.index(position);
    if (claim !== "" && expression !== "")
      errors.push(fieldError.invalid(path, claim, "claim and expression can't both be set"));
    else if (claim === "" && expression === "")
      errors.push(fieldError.required(path, "claim or expression is required"));
    else if (claim !== "") {
      if (message !== "")
        errors.push(fieldError.invalid(path.child("message"), message, "may not be specified when claim is set"));
      if (seen.claims.has(claim)) errors.push(fieldError.duplicate(path.child("claim"), claim));
      seen.claims.add(claim);
    } else {
      const field = path.child("expression");
      if (requiredValue !== "")
        errors.push(
          fieldError.invalid(path.child("requiredValue"), requiredValue, "may not be specified when expression is set"),
        );
      if (seen.expressions.has(expression)) errors.push(fieldError.duplicate(field, expression));
      else {
        seen.expressions.add(expression);
        const compiled = compileAt(field, expression, { compile, errors, scope: "claims", returns: "bool" });
        if (compiled) return [{ expression: compiled, message }];
      }
    }
    return [];
  });
}

export function readUserRules(
  rules: GivenJwt["userValidationRules"],
  at: FieldPath,
  { compile, errors }: Reading,
): Rule[] {
  const seen = new Set<string>();
  return rules.flatMap(({ expression, message }, position) => {
    const field = at.index(position).child("expression");
    if (expression === "") errors.push(fieldError.required(field));
    else if (seen.has(expression)) errors.push(fieldError.duplicate(field, expression));
    else {
      seen.add(expression);
      const compiled = compileAt(field, expression, { compile, errors, scope: "user", returns: "bool" });
      if (compiled) return [{ expression: compiled, message }];
    }
    return [];
  });
}

interface MappingContext {
  readonly at: FieldPath;
  readonly reading: Reading;
  readonly claimRules: readonly Rule[];
}

export function readMappings(
  { username, groups, uid, extra }: GivenJwt["claimMappings"],
  { at, reading, claimRules }: MappingContext,
): Pick<JwtConfiguration, "username" | "groups" | "uid" | "extra"> {
  const { compile, errors } = reading;
  const compiled = (path: FieldPath, source: string) =>
    compileAt(path, source, { compile, errors, scope: "claims", returns: "any" });
  const prefixed = (field: "username" | "groups", given: typeof username): ClaimMapping => {
    const path = at.child(field);
    const { claim, prefix, expression } = given;
    if (expression !== "" && claim !== "") {
      errors.push(fieldError.invalid(path, "", "claim and expression can't both be set"));
      return undefined;
    }
    if (expression !== "") {
      if (prefix !== undefined)
        errors.push(fieldError.invalid(path.child("prefix"), prefix, "may not be specified when expression is set"));
      const found = compiled(path.child("expression"), expression);
      return found && { expression: found };
    }
    if (claim === "") {
      if (field === "username") errors.push(fieldError.required(path, "claim or expression is required"));
      return undefined;
    }
    if (prefix === undefined)
      errors.push(
        fieldError.required(
          path.child("prefix"),
          "prefix is required when claim is set. It can be set to an empty string to disable prefixing",
        ),
      );
    return { claim, prefix: prefix ?? "" };
  };
  const name = prefixed("username", username);
  const read = {
    username: name,
    groups: prefixed("groups", groups),
    uid: readUid(uid, { at: at.child("uid"), errors, compiled }),
    extra: readExtra(extra, { at: at.child("extra"), errors, compiled }),
  };
  // Whoever takes an address for a name must look whether it is the holder's.
  const verified = [name, ...read.extra, ...claimRules].some(
    (each) => each !== undefined && "expression" in each && each.expression.selects("claims", "email_verified"),
  );
  if (name && "expression" in name && name.expression.selects("claims", "email") && !verified)
    errors.push(
      fieldError.invalid(
        at.child("username", "expression"),
        username.expression,
        "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression",
      ),
    );
  return read;
}

interface Compiling {
  readonly at: FieldPath;
  readonly errors: FieldError[];
  readonly compiled: (path: FieldPath, source: string) => Expression | undefined;
}

function readUid(
  { claim, expression }: GivenJwt["claimMappings"]["uid"],
  { at, errors, compiled }: Compiling,
): ClaimMapping {
  if (claim !== "" && expression !== "") {
    errors.push(fieldError.invalid(at, "", "claim and expression can't both be set"));
    return undefined;
  }
  if (claim !== "") return { claim, prefix: "" };
  const found = expression === "" ? undefined : compiled(at.child("expression"), expression);
  return found && { expression: found };
}

function readExtra(
  extra: GivenJwt["claimMappings"]["extra"],
  { at, errors, compiled }: Compiling,
): JwtConfiguration["extra"] {
  const seen = new Set<string>();
  return extra.flatMap(({ key, valueExpression }, position) => {
    const path = at.index(position);
    const field = path.child("key");
    if (key === "") errors.push(fieldError.required(field));
    else
      for (const { value, message } of isDomainPrefixedPath(key))
        errors.push(fieldError.invalid(field, value, message));
    if (key !== key.toLowerCase()) errors.push(fieldError.invalid(field, key, "must be lowercase"));
    const domain = key.includes("/") ? (key.split("/")[0] ?? "") : "";
    if (/(^|\.)(kubernetes|k8s)\.io$/.test(domain))
      errors.push(
        fieldError.invalid(field, key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"),
      );
    if (seen.has(key)) {
      errors.push(fieldError.duplicate(field, key));
      return [];
    }
    seen.add(key);
    if (valueExpression === "") {
      errors.push(fieldError.required(path.child("valueExpression")));
      return [];
    }
    const expression = compiled(path.child("valueExpression"), valueExpression);
    return expression ? [{ key, expression }] : [];
  });
}
