/**
 * The roles and bindings that every cluster has from its first start: names, rules and subjects are upstream's
 * (bootstrap policy of Kubernetes), written as `verbs | groups | resources | names`, with `-` for the core group and
 * no group for URL paths.
 */
export interface BootstrapRole {
  readonly rules?: readonly string[];
  /** `rbac.authorization.k8s.io/aggregate-to-…` label it carries. */
  readonly aggregateTo?: string;
  /** Gathers the rules of the roles with that label. */
  readonly aggregates?: string;
}

export const clusterRoles: Readonly<Record<string, BootstrapRole>> = {
  "cluster-admin": { rules: ["* | * | *", "* | | *"] },
  "system:discovery": {
    rules: ["get | | /livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*"],
  },
  "system:monitoring": { rules: ["get | | /metrics /livez /readyz /healthz /livez/* /readyz/* /healthz/*"] },
  "system:basic-user": {
    rules: [
      "create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews",
      "create | authentication.k8s.io | selfsubjectreviews",
    ],
  },
  "system:public-info-viewer": { rules: ["get | | /livez /readyz /healthz /version /version/"] },
  admin: { aggregates: "admin" },
  edit: { aggregateTo: "admin", aggregates: "edit" },
  view: { aggregateTo: "edit", aggregates: "view" },
  "system:aggregate-to-admin": {
    aggregateTo: "admin",
    rules: [
      "create | authorization.k8s.io | localsubjectaccessreviews",
      "get list watch create update patch delete deletecollection | rbac.authorization.k8s.io | roles rolebindings",
    ],
  },
  "system:aggregate-to-edit": {
    aggregateTo: "edit",
    rules: [
      "get list watch | - | pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy",
      "impersonate | - | serviceaccounts",
      "create update patch delete deletecollection | - | pods pods/attach pods/proxy pods/exec pods/portforward",
      "create update patch delete deletecollection | - | replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy persistentvolumeclaims configmaps secrets events",
      "create update patch delete deletecollection | apps | statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback replicasets replicasets/scale",
      "create update patch delete deletecollection | autoscaling | horizontalpodautoscalers",
      "create update patch delete deletecollection | batch | jobs cronjobs",
      "create update patch delete deletecollection | extensions | daemonsets deployments deployments/scale deployments/rollback ingresses replicasets replicasets/scale replicationcontrollers/scale networkpolicies",
      "create update patch delete deletecollection | policy | poddisruptionbudgets",
      "create update patch delete deletecollection | networking.k8s.io | networkpolicies ingresses",
    ],
  },
  "system:aggregate-to-view": {
    aggregateTo: "view",
    rules: [
      "get list watch | - | pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status endpoints persistentvolumeclaims persistentvolumeclaims/status configmaps",
      "get list watch | - | limitranges resourcequotas bindings events pods/status resourcequotas/status namespaces/status replicationcontrollers/status pods/log",
      "get list watch | - | namespaces",
      "get list watch | discovery.k8s.io | endpointslices",
      "get list watch | apps | controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status deployments deployments/status deployments/scale replicasets replicasets/status replicasets/scale",
      "get list watch | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status",
      "get list watch | batch | jobs cronjobs cronjobs/status jobs/status",
      "get list watch | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status replicasets replicasets/scale replicasets/status replicationcontrollers/scale networkpolicies",
      "get list watch | policy | poddisruptionbudgets poddisruptionbudgets/status",
      "get list watch | networking.k8s.io | networkpolicies ingresses ingresses/status",
    ],
  },
  "system:heapster": {
    rules: ["get list watch | - | events pods nodes namespaces", "get list watch | extensions | deployments"],
  },
  "system:node": {
    rules: [
      "create | authentication.k8s.io | tokenreviews",
      "create | authorization.k8s.io | subjectaccessreviews localsubjectaccessreviews",
      "get list watch | - | services",
      "create get list watch | - | nodes",
      "update patch | - | nodes/status",
      "update patch | - | nodes",
      "create update patch | - | events",
      "get list watch | - | pods",
      "create delete | - | pods",
      "update patch | - | pods/status",
      "create | - | pods/eviction",
      "get list watch | - | secrets configmaps",
      "get | - | persistentvolumeclaims persistentvolumes",
      "get | - | endpoints",
      "create get list watch | certificates.k8s.io | certificatesigningrequests",
      "get create update patch delete | coordination.k8s.io | leases",
      "get | storage.k8s.io | volumeattachments",
      "create | - | serviceaccounts/token",
      "get update patch | - | persistentvolumeclaims/status",
      "get watch list | storage.k8s.io | csidrivers",
      "get create update patch delete | storage.k8s.io | csinodes",
      "get list watch | node.k8s.io | runtimeclasses",
    ],
  },
  "system:node-problem-detector": {
    rules: ["get | - | nodes", "patch | - | nodes/status", "create update patch | - events.k8s.io | events"],
  },
  "system:kubelet-api-admin": {
    rules: [
      "get list watch | - | nodes",
      "proxy | - | nodes",
      "* | - | nodes/proxy nodes/metrics nodes/spec nodes/stats nodes/log",
    ],
  },
  "system:node-bootstrapper": { rules: ["create get list watch | certificates.k8s.io | certificatesigningrequests"] },
  "system:auth-delegator": {
    rules: ["create | authentication.k8s.io | tokenreviews", "create | authorization.k8s.io | subjectaccessreviews"],
  },
  "system:kube-aggregator": { rules: ["get list watch | - | services endpoints"] },
  "system:kube-controller-manager": {
    rules: [
      "create update patch | - events.k8s.io | events",
      "create | coordination.k8s.io | leases",
      "get update | coordination.k8s.io | leases | kube-controller-manager",
      "create | - | endpoints",
      "get update | - | endpoints | kube-controller-manager",
      "create | - | secrets serviceaccounts",
      "delete | - | secrets",
      "get | - | namespaces secrets serviceaccounts configmaps",
      "update | - | secrets serviceaccounts",
      "create | authentication.k8s.io | tokenreviews",
      "create | authorization.k8s.io | subjectaccessreviews",
      "list watch | * | *",
      "create | - | serviceaccounts/token",
    ],
  },
  "system:kube-dns": { rules: ["list watch | - | endpoints services"] },
  "system:persistent-volume-provisioner": {
    rules: [
      "get list watch create delete | - | persistentvolumes",
      "get list watch update | - | persistentvolumeclaims",
      "get list watch | storage.k8s.io | storageclasses",
      "watch | - | events",
      "create update patch | - events.k8s.io | events",
    ],
  },
  "system:certificates.k8s.io:certificatesigningrequests:nodeclient": {
    rules: ["create | certificates.k8s.io | certificatesigningrequests/nodeclient"],
  },
  "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": {
    rules: ["create | certificates.k8s.io | certificatesigningrequests/selfnodeclient"],
  },
  "system:volume-scheduler": {
    rules: [
      "get list watch update patch | - | persistentvolumes",
      "get list watch | storage.k8s.io | storageclasses",
      "get list watch update patch | - | persistentvolumeclaims",
    ],
  },
  "system:certificates.k8s.io:legacy-unknown-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/legacy-unknown"],
  },
  "system:certificates.k8s.io:kubelet-serving-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving"],
  },
  "system:certificates.k8s.io:kube-apiserver-client-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client"],
  },
  "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet"],
  },
  "system:service-account-issuer-discovery": { rules: ["get | | /.well-known/openid-configuration /openid/v1/jwks"] },
  "system:node-proxier": {
    rules: [
      "list watch | - | services endpoints",
      "get list watch | - | nodes",
      "create update patch | - events.k8s.io | events",
      "list watch | discovery.k8s.io | endpointslices",
      "list watch | discovery.k8s.io | endpointslices",
    ],
  },
  "system:kube-scheduler": {
    rules: [
      "create update patch | - events.k8s.io | events",
      "create | coordination.k8s.io | leases",
      "get update | coordination.k8s.io | leases | kube-scheduler",
      "create | - | endpoints",
      "get update | - | endpoints | kube-scheduler",
      "get list watch | - | nodes",
      "get list watch delete | - | pods",
      "create | - | pods/binding bindings",
      "patch update | - | pods/status",
      "get list watch | - | services replicationcontrollers",
      "get list watch | apps extensions | replicasets",
      "get list watch | apps | statefulsets",
      "get list watch | policy | poddisruptionbudgets",
      "get list watch | - | persistentvolumeclaims persistentvolumes",
      "create | authentication.k8s.io | tokenreviews",
      "create | authorization.k8s.io | subjectaccessreviews",
      "get list watch | storage.k8s.io | csinodes",
      "get list watch | - | namespaces",
      "get list watch | storage.k8s.io | csidrivers",
      "get list watch | storage.k8s.io | csistoragecapacities",
    ],
  },
  // Our proxy serves host ports too, and our DNS tells names that can't be from those that have no address.
  "sampan:node-proxier": { rules: ["list watch | - | pods"] },
  "sampan:dns": { rules: ["list watch | - | services namespaces", "list watch | discovery.k8s.io | endpointslices"] },
};

/** Roles of the controllers' service accounts: `system:controller:NAME`, bound to kube-system/NAME. */
export const controllerRoles: Readonly<Record<string, readonly string[]>> = {
  "attachdetach-controller": [
    "list watch | - | persistentvolumes persistentvolumeclaims",
    "get list watch | - | nodes",
    "patch update | - | nodes/status",
    "list watch | - | pods",
    "create update patch | - events.k8s.io | events",
    "get create delete list watch | storage.k8s.io | volumeattachments",
    "get watch list | storage.k8s.io | csidrivers",
    "get watch list | storage.k8s.io | csinodes",
  ],
  "clusterrole-aggregation-controller": [
    "escalate get list watch update patch | rbac.authorization.k8s.io | clusterroles",
  ],
  "cronjob-controller": [
    "get list watch update | batch | cronjobs",
    "get list watch create update delete patch | batch | jobs",
    "update | batch | cronjobs/status",
    "update | batch | cronjobs/finalizers",
    "list delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "daemon-set-controller": [
    "get list watch | extensions apps | daemonsets",
    "update | extensions apps | daemonsets/status",
    "update | extensions apps | daemonsets/finalizers",
    "list watch | - | nodes",
    "list watch create delete patch | - | pods",
    "create | - | pods/binding",
    "get list watch create delete update patch | apps | controllerrevisions",
    "create update patch | - events.k8s.io | events",
  ],
  "deployment-controller": [
    "get list watch update | extensions apps | deployments",
    "update | extensions apps | deployments/status",
    "update | extensions apps | deployments/finalizers",
    "get list watch create update patch delete | apps extensions | replicasets",
    "get list watch update | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "disruption-controller": [
    "get list watch | extensions apps | deployments",
    "get list watch | apps extensions | replicasets",
    "get list watch | - | replicationcontrollers",
    "get list watch | policy | poddisruptionbudgets",
    "get list watch | apps | statefulsets",
    "update | policy | poddisruptionbudgets/status",
    "patch | - | pods/status",
    "get | * | */scale",
    "create update patch | - events.k8s.io | events",
  ],
  "endpoint-controller": [
    "get list watch | - | services pods",
    "get list create update delete | - | endpoints",
    "create | - | endpoints/restricted",
    "create update patch | - events.k8s.io | events",
  ],
  "endpointslice-controller": [
    "get list watch | - | services pods nodes",
    "update | - | services/finalizers",
    "get list create update delete | discovery.k8s.io | endpointslices",
    "create update patch | - events.k8s.io | events",
  ],
  "endpointslicemirroring-controller": [
    "get list watch | - | services endpoints",
    "update | - | services/finalizers",
    "update | - | endpoints/finalizers",
    "get list create update delete | discovery.k8s.io | endpointslices",
    "create update patch | - events.k8s.io | events",
  ],
  "expand-controller": [
    "get list watch update patch | - | persistentvolumes",
    "update patch | - | persistentvolumeclaims/status",
    "get list watch | - | persistentvolumeclaims",
    "get list watch | storage.k8s.io | storageclasses",
    "get | - | services endpoints",
    "get | - | secrets",
    "create update patch | - events.k8s.io | events",
  ],
  "ephemeral-volume-controller": [
    "get list watch | - | pods",
    "update | - | pods/finalizers",
    "get list watch create | - | persistentvolumeclaims",
    "create update patch | - events.k8s.io | events",
  ],
  "generic-garbage-collector": [
    "get list watch patch update delete | * | *",
    "create update patch | - events.k8s.io | events",
  ],
  "horizontal-pod-autoscaler": [
    "get list watch | autoscaling | horizontalpodautoscalers",
    "update | autoscaling | horizontalpodautoscalers/status",
    "get update | * | */scale",
    "list | - | pods",
    "get | - | services/proxy | https:heapster: http:heapster:",
    "list | metrics.k8s.io | pods",
    "get list | custom.metrics.k8s.io | *",
    "create update patch | - events.k8s.io | events",
  ],
  "job-controller": [
    "get list watch update patch | batch | jobs",
    "update | batch | jobs/status",
    "update | batch | jobs/finalizers",
    "list watch create delete patch | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "namespace-controller": [
    "get list watch delete | - | namespaces",
    "update | - | namespaces/finalize namespaces/status",
    "get list delete deletecollection | * | *",
  ],
  "node-controller": [
    "get list update delete patch | - | nodes",
    "patch update | - | nodes/status",
    "patch update | - | pods/status",
    "list delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "persistent-volume-binder": [
    "get list watch update create delete | - | persistentvolumes",
    "update | - | persistentvolumes/status",
    "get list watch update | - | persistentvolumeclaims",
    "update | - | persistentvolumeclaims/status",
    "list watch get create delete | - | pods",
    "get list watch | storage.k8s.io | storageclasses",
    "get create update delete | - | endpoints",
    "get create delete | - | services",
    "get | - | secrets",
    "get list | - | nodes",
    "watch | - | events",
    "create update patch | - events.k8s.io | events",
  ],
  "pod-garbage-collector": ["list watch delete | - | pods", "get list | - | nodes", "patch | - | pods/status"],
  "replicaset-controller": [
    "get list watch update | apps extensions | replicasets",
    "update | apps extensions | replicasets/status",
    "update | apps extensions | replicasets/finalizers",
    "list watch patch create delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "replication-controller": [
    "get list watch update | - | replicationcontrollers",
    "update | - | replicationcontrollers/status",
    "update | - | replicationcontrollers/finalizers",
    "list watch patch create delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "resourcequota-controller": [
    "list watch | * | *",
    "update | - | resourcequotas/status",
    "create update patch | - events.k8s.io | events",
  ],
  "route-controller": [
    "list watch | - | nodes",
    "patch | - | nodes/status",
    "create update patch | - events.k8s.io | events",
  ],
  "service-account-controller": ["create | - | serviceaccounts", "create update patch | - events.k8s.io | events"],
  "service-controller": [
    "get list watch | - | services",
    "patch update | - | services/status",
    "list watch | - | nodes",
    "create update patch | - events.k8s.io | events",
  ],
  "statefulset-controller": [
    "list watch | - | pods",
    "get list watch | apps | statefulsets",
    "update | apps | statefulsets/status",
    "update | apps | statefulsets/finalizers",
    "get create delete update patch | - | pods",
    "get create delete update patch list watch | apps | controllerrevisions",
    "get create | - | persistentvolumeclaims",
    "create update patch | - events.k8s.io | events",
    "update | - | persistentvolumeclaims",
  ],
  "ttl-controller": ["update patch list watch | - | nodes", "create update patch | - events.k8s.io | events"],
  "certificate-controller": [
    "get list watch delete | certificates.k8s.io | certificatesigningrequests",
    "update | certificates.k8s.io | certificatesigningrequests/status certificatesigningrequests/approval",
    "approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet",
    "sign | certificates.k8s.io | signers | kubernetes.io/legacy-unknown kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving",
    "create | authorization.k8s.io | subjectaccessreviews",
    "create update patch | - events.k8s.io | events",
  ],
  "pvc-protection-controller": [
    "get list watch update | - | persistentvolumeclaims",
    "list watch get | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "pv-protection-controller": [
    "get list watch update | - | persistentvolumes",
    "create update patch | - events.k8s.io | events",
  ],
  "ttl-after-finished-controller": [
    "get list watch delete | batch | jobs",
    "create update patch | - events.k8s.io | events",
  ],
  "root-ca-cert-publisher": ["create update | - | configmaps", "create update patch | - events.k8s.io | events"],
  "storage-version-garbage-collector": [
    "get list watch | coordination.k8s.io | leases",
    "get list watch patch update delete | internal.apiserver.k8s.io | storageversions",
    "get patch update | internal.apiserver.k8s.io | storageversions/status",
  ],
};

/** Cluster role → its subjects, as `user:NAME`, `group:NAME` or `account:NAMESPACE/NAME`. The binding has the role's name. */
export const clusterRoleBindings: Readonly<Record<string, readonly string[]>> = {
  "cluster-admin": ["group:system:masters"],
  "system:monitoring": ["group:system:monitoring"],
  "system:discovery": ["group:system:authenticated"],
  "system:basic-user": ["group:system:authenticated"],
  "system:public-info-viewer": ["group:system:authenticated", "group:system:unauthenticated"],
  "system:node-proxier": ["user:system:kube-proxy"],
  "system:kube-controller-manager": ["user:system:kube-controller-manager"],
  "system:kube-dns": ["account:kube-system/kube-dns"],
  "system:kube-scheduler": ["user:system:kube-scheduler"],
  "system:volume-scheduler": ["user:system:kube-scheduler"],
  "system:node": [],
  "system:service-account-issuer-discovery": ["group:system:serviceaccounts"],
  // Ours.
  "sampan:node-proxier": ["user:system:kube-proxy"],
  "sampan:dns": ["user:system:dns"],
};

/** Roles within a namespace, and who they are bound to. */
export const namespaceRoles: readonly {
  readonly namespace: string;
  readonly name: string;
  readonly rules: readonly string[];
  readonly bindingName?: string;
  readonly subjects?: readonly string[];
}[] = [
  {
    namespace: "kube-system",
    name: "extension-apiserver-authentication-reader",
    rules: ["get list watch | - | configmaps | extension-apiserver-authentication"],
    bindingName: "system::extension-apiserver-authentication-reader",
    subjects: ["user:system:kube-controller-manager", "user:system:kube-scheduler"],
  },
  {
    namespace: "kube-system",
    name: "system:controller:bootstrap-signer",
    rules: ["get list watch | - | secrets"],
    subjects: ["account:kube-system/bootstrap-signer"],
  },
  {
    namespace: "kube-system",
    name: "system:controller:cloud-provider",
    rules: ["create get list watch | - | configmaps"],
    subjects: ["account:kube-system/cloud-provider"],
  },
  {
    namespace: "kube-system",
    name: "system:controller:token-cleaner",
    rules: ["get list watch delete | - | secrets", "create update patch | - events.k8s.io | events"],
    subjects: ["account:kube-system/token-cleaner"],
  },
  {
    namespace: "kube-system",
    name: "system::leader-locking-kube-controller-manager",
    rules: ["watch | - | configmaps", "get update | - | configmaps | kube-controller-manager"],
    subjects: ["user:system:kube-controller-manager", "account:kube-system/kube-controller-manager"],
  },
  {
    namespace: "kube-system",
    name: "system::leader-locking-kube-scheduler",
    rules: ["watch | - | configmaps", "get update | - | configmaps | kube-scheduler"],
    subjects: ["user:system:kube-scheduler", "account:kube-system/kube-scheduler"],
  },
  {
    namespace: "kube-public",
    name: "system:controller:bootstrap-signer",
    rules: [
      "get list watch | - | configmaps",
      "update | - | configmaps | cluster-info",
      "create update patch | - events.k8s.io | events",
    ],
    subjects: ["account:kube-system/bootstrap-signer"],
  },
];
