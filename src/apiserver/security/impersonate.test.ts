import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestUser } from "#api";
import { StatusError } from "#machinery";
import type { Attributes, Credentials } from "../security.ts";
import { createImpersonation, type Impersonation } from "./impersonate.ts";

const alice: RequestUser = { name: "alice", uid: "", groups: ["system:authenticated"], extra: {} };
const listPods = (user: RequestUser): Attributes => ({
  user,
  verb: "list",
  resourceRequest: true,
  path: "/api/v1/namespaces/ns/pods",
  apiGroup: "",
  apiVersion: "v1",
  resource: "pods",
  subresource: "",
  namespace: "ns",
  name: "",
});

/** `verb group/resource/subresource namespace/name`, as far as there is something to say. */
const print = ({ verb, apiGroup, resource, subresource, namespace, name }: Attributes) =>
  `${verb} ${apiGroup ? `${apiGroup}/` : ""}${resource}${subresource ? `/${subresource}` : ""} ${namespace ? `${namespace}/` : ""}${name}`.trim();

/** Allows what is in the list as it is when somebody asks; `asked`: what they asked. */
function impersonationOf(allowed: readonly string[]) {
  const asked: string[] = [];
  const act: Impersonation = createImpersonation({
    authorize(attributes) {
      asked.push(print(attributes));
      return { allowed: allowed.includes(print(attributes)), reason: "" };
    },
  });
  return { act, asked };
}

interface Try {
  readonly user?: RequestUser;
  readonly allowed: readonly string[];
  /** With a memory of what went before. */
  readonly by?: ReturnType<typeof impersonationOf>;
}

function actAs(headers: readonly [string, string][], { user = alice, allowed, by = impersonationOf(allowed) }: Try) {
  const { asked } = by;
  const constraints: (string | undefined)[] = [];
  const credentials: Credentials = {
    headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
    rawHeaders: headers.flat(),
    path: "",
    remoteAddress: "",
    peerCertificate: () => undefined,
  };
  const acting = Promise.resolve(
    by.act(user, credentials, {
      attributes: listPods,
      observer: {
        authenticated: async () => undefined,
        impersonated: (_, constraint) => constraints.push(constraint),
        annotate: () => undefined,
      },
    }),
  );
  return { acting, asked, constraints };
}

const group = "authentication.k8s.io";

test("impersonate: plain, with the groups asked for and the implied one", async () => {
  const { acting, constraints } = actAs(
    [
      ["Impersonate-User", "carol"],
      ["Impersonate-Group", "devs, ops"],
      ["Impersonate-Group", "qa"],
      ["Impersonate-Uid", "7"],
      ["Impersonate-Extra-Acme.io%2Fscope", "view"],
      ["Impersonate-Extra-Acme.io%2Fscope", "edit"],
    ],
    {
      allowed: [
        "impersonate users carol",
        "impersonate groups devs, ops",
        "impersonate groups qa",
        `impersonate ${group}/uids 7`,
        `impersonate ${group}/userextras/acme.io/scope view`,
        `impersonate ${group}/userextras/acme.io/scope edit`,
      ],
    },
  );
  assert.deepEqual(await acting, {
    name: "carol",
    uid: "7",
    groups: ["devs, ops", "qa", "system:authenticated"],
    extra: { "acme.io/scope": ["view", "edit"] },
  });
  assert.deepEqual(constraints, [undefined]);
});

test("impersonate: who acted plainly before is told what plainly isn't allowed; each value of extra needs a right", async () => {
  const robot: [string, string] = ["Impersonate-User", "system:serviceaccount:rb1:robot"];
  const allowed = ["impersonate serviceaccounts rb1/robot"];
  const by = impersonationOf(allowed);
  await actAs([robot], { allowed, by }).acting;
  await assert.rejects(
    actAs([robot, ["Impersonate-Extra-a", "x"]], { allowed, by }).acting,
    /userextras\.authentication\.k8s\.io "x" is forbidden: User "alice" cannot impersonate resource "userextras\/a"/,
  );
  allowed.length = 0;
  await assert.rejects(actAs([robot], { allowed, by }).acting, (error) => {
    assert.ok(error instanceof StatusError);
    assert.equal(
      error.message,
      'serviceaccounts "robot" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "rb1"',
    );
    return true;
  });
});

test("impersonate: groups without a user are a bad request", async () => {
  const { acting } = actAs([["Impersonate-Group", "g"]], { allowed: [] });
  await assert.rejects(acting, (error) => {
    assert.ok(error instanceof StatusError);
    assert.equal(error.code, 400);
    assert.equal(
      error.message,
      'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g"}, Extra:map[string][]string(nil)} without impersonating a user name',
    );
    return true;
  });
});

test("impersonate: a user, constrained to what may be done so", async () => {
  const rights = ["impersonate-on:user-info:list pods ns/", `impersonate:user-info ${group}/users carol`];
  const { acting, asked, constraints } = actAs([["Impersonate-User", "carol"]], { allowed: rights });
  assert.equal((await acting).name, "carol");
  assert.deepEqual(asked, rights);
  assert.deepEqual(constraints, ["impersonate:user-info"]);
  await assert.rejects(
    actAs([["Impersonate-User", "carol"]], { allowed: rights.slice(1) }).acting,
    /pods is forbidden: User "alice" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "ns"/,
  );
});

test("impersonate: constrained, nobody becomes a master, and odd groups and extras are refused", async () => {
  const allowed = ["impersonate-on:user-info:list pods ns/", `impersonate:user-info ${group}/users carol`];
  for (const [header, message] of [
    [["Impersonate-Group", "system:masters"], /impersonating the system:masters group is not allowed/],
    [["Impersonate-Group", ""], /impersonating the empty string group is not allowed/],
    [
      ["Impersonate-Extra-plain", "x"],
      /impersonating an invalid key in extra is not allowed: extra\.key: Invalid value/,
    ],
    [["Impersonate-Extra-acme.io%2Fx", ""], /impersonating the empty string value in extra is not allowed/],
  ] as const)
    await assert.rejects(
      actAs([["Impersonate-User", "carol"], [...header]], { allowed }).acting,
      message,
      header.join("="),
    );
});

test("impersonate: many groups by one right for all", async () => {
  const headers: [string, string][] = ["a", "b", "c", "d"].map((name) => ["Impersonate-Group", name]);
  const { acting, asked } = actAs([["Impersonate-User", "carol"], ...headers], {
    allowed: [
      "impersonate-on:user-info:list pods ns/",
      `impersonate:user-info ${group}/users carol`,
      `impersonate:user-info ${group}/groups *`,
    ],
  });
  assert.deepEqual((await acting).groups, ["a", "b", "c", "d", "system:authenticated"]);
  assert.equal(asked.length, 3);
});

test("impersonate: an account acts as the node of its pod, any node or another account, each by its own right", async () => {
  const agent: RequestUser = {
    name: "system:serviceaccount:kube-system:agent",
    uid: "",
    groups: [],
    extra: { "authentication.kubernetes.io/node-name": ["n1"], "authentication.kubernetes.io/pod-name": ["p"] },
  };
  const own = actAs([["Impersonate-User", "system:node:n1"]], {
    user: agent,
    allowed: ["impersonate-on:associated-node:list pods ns/", `impersonate:associated-node ${group}/nodes *`],
  });
  assert.deepEqual(await own.acting, {
    name: "system:node:n1",
    uid: "",
    groups: ["system:nodes", "system:authenticated"],
    extra: {},
  });
  const other = actAs([["Impersonate-User", "system:node:n2"]], {
    user: agent,
    allowed: [
      "impersonate-on:associated-node:list pods ns/",
      `impersonate:associated-node ${group}/nodes *`,
      "impersonate-on:arbitrary-node:list pods ns/",
      `impersonate:arbitrary-node ${group}/nodes n2`,
    ],
  });
  await other.acting;
  assert.deepEqual(other.constraints, ["impersonate:arbitrary-node"]);
  const account = actAs([["Impersonate-User", "system:serviceaccount:ns:robot"]], {
    allowed: [
      "impersonate-on:serviceaccount:list pods ns/",
      `impersonate:serviceaccount ${group}/serviceaccounts ns/robot`,
    ],
  });
  assert.deepEqual((await account.acting).groups, [
    "system:serviceaccounts",
    "system:serviceaccounts:ns",
    "system:authenticated",
  ]);
});

test("impersonate: anonymous stays unauthenticated", async () => {
  const { acting } = actAs([["Impersonate-User", "system:anonymous"]], {
    allowed: ["impersonate users system:anonymous"],
  });
  assert.deepEqual((await acting).groups, ["system:unauthenticated"]);
});
