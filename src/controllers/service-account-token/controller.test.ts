import assert from "node:assert/strict";
import { test } from "node:test";
import type { Secret, ServiceAccount } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { serviceAccountTokenController } from "./controller.ts";

const at = (resource: string) => `/api/v1/namespaces/ns/${resource}`;
const account = (uid: string, secrets: string[] = []): ServiceAccount => ({
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: { name: "robot", namespace: "ns", uid },
  secrets: secrets.map((name) => ({ name })),
});
const secret = (name: string, uid?: string): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  type: "kubernetes.io/service-account-token",
  metadata: {
    name,
    namespace: "ns",
    uid: `uid-${name}`,
    annotations: {
      "kubernetes.io/service-account.name": "robot",
      ...(uid && { "kubernetes.io/service-account.uid": uid }),
    },
  },
});
const decoded = ({ data = {} }: Secret) =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));

function start(transport: FakeTransport) {
  const controller = runController(serviceAccountTokenController, transport, {
    rootCa: "PEM",
    legacyToken: (of, { name, uid }) => `token of ${of.namespace}/${of.name} for ${name} ${uid}`,
  });
  const found = (name: string) => transport.objects.get(`${at("secrets")}/${name}`) as Secret | undefined;
  return { ...controller, found };
}

test("account token controller: fills a Secret, whenever something is missing, and keeps what is there", async () => {
  const transport = new FakeTransport();
  const { until, stop, found } = start(transport);
  transport.create(at("serviceaccounts"), account("u1"));
  transport.create(at("secrets"), { ...secret("new"), data: { own: "eA==" } } as Secret);
  await until(() => found("new")?.data?.token);
  const filled = found("new") as Secret;
  assert.deepEqual(decoded(filled), {
    own: "x",
    "ca.crt": "PEM",
    namespace: "ns",
    token: "token of ns/new for robot u1",
  });
  assert.equal(filled.metadata.annotations?.["kubernetes.io/service-account.uid"], "u1");
  transport.create(at("secrets"), {
    ...secret("kept"),
    data: { token: "eA==", "ca.crt": "eA==", namespace: "eA==" },
  } as Secret);
  await until(() => decoded(found("kept") as Secret)["ca.crt"] === "PEM");
  assert.deepEqual(decoded(found("kept") as Secret), { token: "x", "ca.crt": "PEM", namespace: "x" });
  await stop();
});

test("account token controller: a Secret goes with its account, or when it names another one", async () => {
  const transport = new FakeTransport();
  transport.create(at("serviceaccounts"), account("u2"));
  transport.create(at("secrets"), secret("old", "u1"));
  const { until, stop, found } = start(transport);
  await until(() => !found("old"));
  transport.create(at("secrets"), secret("good", "u2"));
  await until(() => found("good")?.data?.token);
  transport.remove(`${at("serviceaccounts")}/robot`);
  await until(() => !found("good"));
  transport.create(at("secrets"), secret("early"));
  await until(() => !found("early"));
  await stop();
});

test("account token controller: an account doesn't name a token that is gone", async () => {
  const transport = new FakeTransport();
  transport.create(at("serviceaccounts"), account("u1", ["other", "token"]));
  transport.create(at("secrets"), secret("token"));
  const { until, stop, found } = start(transport);
  const names = () =>
    (transport.objects.get(`${at("serviceaccounts")}/robot`) as ServiceAccount).secrets?.map(({ name }) => name);
  await until(() => found("token")?.data?.token);
  transport.remove(`${at("secrets")}/token`);
  await until(() => names()?.length === 1);
  assert.deepEqual(names(), ["other"]);
  await stop();
});
