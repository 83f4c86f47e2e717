import { test } from "node:test";
import { assertRefused, vol, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "secret and config map",
    vol(
      {
        name: "a",
        secret: {
          secretName: "",
          defaultMode: 512,
          items: [
            { key: "", path: "/x" },
            { key: "k", path: "../x", mode: -1 },
          ],
        },
      },
      { name: "b", configMap: { name: "" } },
    ),
    [
      "spec.volumes[0].secret.secretName: Required value",
      "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
      "spec.volumes[0].secret.items[0].key: Required value",
      'spec.volumes[0].secret.items[0].path: Invalid value: "/x": must be a relative path',
      "spec.volumes[0].secret.items[1].path: Invalid value: \"../x\": must not contain '..'",
      "spec.volumes[0].secret.items[1].mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive",
      "spec.volumes[1].configMap.name: Required value",
    ],
  ],
  [
    "downward",
    vol({
      name: "a",
      downwardAPI: {
        items: [
          { path: "..x", fieldRef: { fieldPath: "spec.nodeName" } },
          { path: "" },
          { path: "a", fieldRef: { fieldPath: "metadata.name" }, resourceFieldRef: { resource: "limits.cpu" } },
        ],
      },
    }),
    [
      "spec.volumes[0].downwardAPI.path: Invalid value: \"..x\": must not start with '..'",
      'spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"',
      "spec.volumes[0].downwardAPI.path: Required value",
      "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
      'spec.volumes[0].downwardAPI: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously',
    ],
  ],
  [
    "projected",
    vol({
      name: "a",
      projected: {
        defaultMode: 512,
        sources: [
          { secret: { name: "" } },
          { secret: { name: "a" }, configMap: { name: "b" } },
          { serviceAccountToken: { expirationSeconds: 1, path: "" } },
          { secret: { name: "a", items: [{ key: "k", path: "p" }] } },
          { configMap: { name: "a", items: [{ key: "k", path: "p" }] } },
          {},
        ],
      },
    }),
    [
      "spec.volumes[0].projected.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
      "spec.volumes[0].projected.sources[0].secret.name: Required value",
      "spec.volumes[0].projected.sources[1]: Forbidden: may not specify more than 1 volume type per source",
      "spec.volumes[0].projected.sources[2].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
      "spec.volumes[0].projected.path: Required value",
      'spec.volumes[0].projected: Invalid value: "a": conflicting duplicate paths',
      "spec.volumes[0].projected.sources[2].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
    ],
  ],
  [
    "cluster trust bundles",
    vol({
      name: "a",
      projected: {
        sources: [
          { clusterTrustBundle: { path: "" } },
          { clusterTrustBundle: { name: "a", signerName: "b", path: "x" } },
        ],
      },
    }),
    [
      "spec.volumes[0].projected.sources[0].clusterTrustBundle: Required value: either name or signerName must be specified",
      "spec.volumes[0].projected.sources[0].clusterTrustBundle.path: Required value",
      'spec.volumes[0].projected.sources[1].clusterTrustBundle: Invalid value: {"name":"a","signerName":"b","path":"x"}: only one of name and signerName may be used',
    ],
  ],
  [
    "pod certificates",
    vol({ name: "a", projected: { sources: [{ podCertificate: { signerName: "x", keyType: "Odd" } }] } }),
    [
      "spec.volumes[0].projected.sources[0].podCertificate.signerName: Invalid value: \"x\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
      'spec.volumes[0].projected.sources[0].podCertificate.keyType: Unsupported value: "Odd": supported values: "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"',
      "spec.volumes[0].projected.sources[0].podCertificate: Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath",
    ],
  ],
];

test("volumes of files from objects: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
