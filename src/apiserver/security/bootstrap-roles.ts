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
  admin: { aggregates: "admin" },
  "cluster-admin": { rules: ["* | * | *", "* | | *"] },
  edit: { aggregateTo: "admin", aggregates: "edit" },
  "system:aggregate-to-admin": {
    aggregateTo: "admin",
    rules: [
      "create | authorization.k8s.io | localsubjectaccessreviews",
      "get list watch create update patch delete deletecollection | rbac.authorization.k8s.io | rolebindings roles",
    ],
  },
  "system:aggregate-to-edit": {
    aggregateTo: "edit",
    rules: [
      "get list watch | - | pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
      "impersonate | - | serviceaccounts",
      "create update patch delete deletecollection | - | pods pods/attach pods/exec pods/portforward pods/proxy",
      "create | - | pods/eviction",
      "create update patch delete deletecollection | - | configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy",
      "create | - | serviceaccounts/token",
      "create update patch delete deletecollection | - events.k8s.io | events",
      "create update patch delete deletecollection | apps | daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale",
      "create update patch delete deletecollection | autoscaling | horizontalpodautoscalers",
      "create update patch delete deletecollection | batch | cronjobs jobs",
      "create update patch delete deletecollection | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale",
      "create update patch delete deletecollection | policy | poddisruptionbudgets",
      "create update patch delete deletecollection | networking.k8s.io | ingresses networkpolicies",
      "get list watch create update patch delete deletecollection | coordination.k8s.io | leases",
      "create update patch delete deletecollection | resource.k8s.io | resourceclaims resourceclaimtemplates",
    ],
  },
  "system:aggregate-to-view": {
    aggregateTo: "view",
    rules: [
      "get list watch | - | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
      "get list watch | - | bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status",
      "get list watch | - | namespaces",
      "get list watch | - events.k8s.io | events",
      "get list watch | discovery.k8s.io | endpointslices",
      "get list watch | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
      "get list watch | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status",
      "get list watch | batch | cronjobs cronjobs/status jobs jobs/status",
      "get list watch | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
      "get list watch | policy | poddisruptionbudgets poddisruptionbudgets/status",
      "get list watch | networking.k8s.io | ingresses ingresses/status networkpolicies",
      "get list watch | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates",
    ],
  },
  "system:auth-delegator": {
    rules: ["create | authentication.k8s.io | tokenreviews", "create | authorization.k8s.io | subjectaccessreviews"],
  },
  "system:basic-user": {
    rules: [
      "create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews",
      "create | authentication.k8s.io | selfsubjectreviews",
    ],
  },
  "system:certificates.k8s.io:certificatesigningrequests:nodeclient": {
    rules: ["create | certificates.k8s.io | certificatesigningrequests/nodeclient"],
  },
  "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": {
    rules: ["create | certificates.k8s.io | certificatesigningrequests/selfnodeclient"],
  },
  "system:certificates.k8s.io:kube-apiserver-client-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client"],
  },
  "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet"],
  },
  "system:certificates.k8s.io:kubelet-serving-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving"],
  },
  "system:certificates.k8s.io:legacy-unknown-approver": {
    rules: ["approve | certificates.k8s.io | signers | kubernetes.io/legacy-unknown"],
  },
  "system:discovery": {
    rules: ["get | | /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"],
  },
  "system:heapster": {
    rules: ["get list watch | - | events namespaces nodes pods", "get list watch | extensions | deployments"],
  },
  "system:kube-aggregator": { rules: ["get list watch | - | endpoints services"] },
  "system:kube-controller-manager": {
    rules: [
      "create update patch | - events.k8s.io | events",
      "create | coordination.k8s.io | leases",
      "get update | coordination.k8s.io | leases | kube-controller-manager",
      "create | - | secrets serviceaccounts",
      "delete | - | secrets",
      "get | - | configmaps namespaces secrets serviceaccounts",
      "update | - | secrets serviceaccounts",
      "create | authentication.k8s.io | tokenreviews",
      "create | authorization.k8s.io | subjectaccessreviews",
      "list watch | * | *",
      "create | - | serviceaccounts/token",
    ],
  },
  "system:kube-dns": { rules: ["list watch | - | endpoints services"] },
  "system:kube-scheduler": {
    rules: [
      "create update patch | - events.k8s.io | events",
      "create | coordination.k8s.io | leases",
      "get list watch update | coordination.k8s.io | leases | kube-scheduler",
      "get list watch create update patch delete deletecollection | coordination.k8s.io | leasecandidates",
      "get list watch | - | nodes",
      "get list watch delete | - | pods",
      "create | - | bindings pods/binding",
      "update patch | - | pods/status",
      "get list watch | - | replicationcontrollers services",
      "get list watch | apps extensions | replicasets",
      "get list watch | apps | statefulsets",
      "get list watch | policy | poddisruptionbudgets",
      "get list watch | - | persistentvolumeclaims persistentvolumes",
      "create | authentication.k8s.io | tokenreviews",
      "create | authorization.k8s.io | subjectaccessreviews",
      "get list watch | storage.k8s.io | csinodes",
      "get list watch | storage.k8s.io | volumeattachments",
      "get list watch | - | namespaces",
      "get list watch | storage.k8s.io | csidrivers",
      "get list watch | storage.k8s.io | csistoragecapacities",
      "get list watch | resource.k8s.io | deviceclasses",
      "get list watch update patch | resource.k8s.io | resourceclaims",
      "get list watch update patch | resource.k8s.io | resourceclaims/status",
      "update | - | pods/finalizers",
      "get list watch | resource.k8s.io | resourceslices",
      "create delete | resource.k8s.io | resourceclaims",
      "update patch | resource.k8s.io | resourceclaims/binding",
    ],
  },
  "system:kubelet-api-admin": {
    rules: [
      "get list watch | - | nodes",
      "proxy | - | nodes",
      "* | - | nodes/log nodes/metrics nodes/proxy nodes/stats",
      "* | - | nodes/configz nodes/healthz nodes/pods",
    ],
  },
  "system:monitoring": {
    rules: [
      "get | | /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz",
      "get | - | nodes/metrics",
    ],
  },
  "system:node": {
    rules: [
      "create | authentication.k8s.io | tokenreviews",
      "create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews",
      "get list watch | - | services",
      "get list watch create | - | nodes",
      "update patch | - | nodes/status",
      "update patch | - | nodes",
      "create update patch | - events.k8s.io | events",
      "get list watch | - | pods",
      "create delete | - | pods",
      "update patch | - | pods/status",
      "create | - | pods/eviction",
      "get list watch | - | configmaps secrets",
      "get | - | persistentvolumeclaims persistentvolumes",
      "get | - | endpoints",
      "get list watch create | certificates.k8s.io | certificatesigningrequests",
      "get create update patch delete | coordination.k8s.io | leases",
      "get | storage.k8s.io | volumeattachments",
      "create | - | serviceaccounts/token",
      "get update patch | - | persistentvolumeclaims/status",
      "get list watch | storage.k8s.io | csidrivers",
      "get create update patch delete | storage.k8s.io | csinodes",
      "get list watch | node.k8s.io | runtimeclasses",
      "get | resource.k8s.io | resourceclaims",
      "deletecollection | resource.k8s.io | resourceslices",
      "get | - | serviceaccounts",
    ],
  },
  "system:node-bootstrapper": { rules: ["get list watch create | certificates.k8s.io | certificatesigningrequests"] },
  "system:node-problem-detector": {
    rules: ["get | - | nodes", "patch | - | nodes/status", "create update patch | - events.k8s.io | events"],
  },
  "system:node-proxier": {
    rules: [
      "list watch | - | endpoints services",
      "get list watch | - | nodes",
      "create update patch | - events.k8s.io | events",
      "list watch | networking.k8s.io | servicecidrs",
      "list watch | discovery.k8s.io | endpointslices",
    ],
  },
  "system:persistent-volume-provisioner": {
    rules: [
      "get list watch create delete | - | persistentvolumes",
      "get list watch update | - | persistentvolumeclaims",
      "get list watch | storage.k8s.io | storageclasses",
      "watch | - | events",
      "create update patch | - events.k8s.io | events",
    ],
  },
  "system:public-info-viewer": { rules: ["get | | /healthz /livez /readyz /version /version/"] },
  "system:service-account-issuer-discovery": {
    rules: [
      "get | | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
    ],
  },
  "system:volume-scheduler": {
    rules: [
      "get list watch update patch | - | persistentvolumes",
      "get list watch | storage.k8s.io | storageclasses",
      "get list watch update patch | - | persistentvolumeclaims",
    ],
  },
  view: { aggregateTo: "edit", aggregates: "view" },
  // Our proxy serves host ports too, and our DNS tells names that can't be from those that have no address.
  "sampan:local-path-provisioner": {
    rules: [
      "get list watch create update patch delete | - | persistentvolumes",
      "get list watch update | - | persistentvolumeclaims",
      "get list watch | storage.k8s.io | storageclasses",
      "get list watch patch | - | nodes",
      "create update patch | - events.k8s.io | events",
    ],
  },
  // As upstream's volume controllers were allowed while they made such images themselves.
  "sampan:rbd-provisioner": {
    rules: [
      "get list watch create update patch delete | - | persistentvolumes",
      "update | - | persistentvolumes/status",
      "get list watch update | - | persistentvolumeclaims",
      "update patch | - | persistentvolumeclaims/status",
      "get list watch | storage.k8s.io | storageclasses",
      "get | - | secrets",
      "create update patch | - events.k8s.io | events",
    ],
  },
  "sampan:node-proxier": { rules: ["list watch | - | pods"] },
  // Proxy, DNS, policies and routes of every node, which act as the node.
  "sampan:node-network": {
    rules: [
      "get list watch | - | services endpoints pods namespaces nodes",
      "get list watch | discovery.k8s.io | endpointslices",
      "get list watch | networking.k8s.io | networkpolicies servicecidrs",
      "create update patch | - events.k8s.io | events",
    ],
  },
  // Approves what nodes' own servers show.
  "sampan:serving-approver": {
    rules: [
      "get list watch | certificates.k8s.io | certificatesigningrequests",
      "update | certificates.k8s.io | certificatesigningrequests/approval",
      "approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving",
      "get list watch | - | nodes",
    ],
  },
  // Of `sampan lb`, which may run outside of the cluster.
  "sampan:lb": {
    rules: [
      "get list watch | - | services nodes",
      "get list watch | discovery.k8s.io | endpointslices",
      "update patch | - | services/status",
      "create update patch | - events.k8s.io | events",
    ],
  },
  "sampan:ingress": {
    rules: [
      "get list watch | - | services secrets",
      "get list watch | discovery.k8s.io | endpointslices",
      "get list watch | networking.k8s.io | ingresses ingressclasses",
      "patch | networking.k8s.io | ingresses/status",
      "create update patch | - events.k8s.io | events",
    ],
  },
};

/** Roles of the controllers' service accounts: `system:controller:NAME`, bound to kube-system/NAME. */
/** Where StorageVersionMigrator is on. Whoever applies to an object that is gone would make it, were the uid not refused. */
export const migratorRoles: Readonly<Record<string, readonly string[]>> = {
  "storage-version-migrator-controller": [
    "list create patch | * | *",
    "get | apiextensions.k8s.io | customresourcedefinitions",
    "patch | apiextensions.k8s.io | customresourcedefinitions/status",
    "update | storagemigration.k8s.io | storageversionmigrations/status",
  ],
};

export const controllerRoles: Readonly<Record<string, readonly string[]>> = {
  "attachdetach-controller": [
    "list watch | - | persistentvolumeclaims persistentvolumes",
    "get list watch | - | nodes",
    "update patch | - | nodes/status",
    "list watch | - | pods",
    "create update patch | - events.k8s.io | events",
    "get list watch create delete | storage.k8s.io | volumeattachments",
    "get list watch | storage.k8s.io | csidrivers",
    "get list watch | storage.k8s.io | csinodes",
  ],
  "certificate-controller": [
    "get list watch delete | certificates.k8s.io | certificatesigningrequests",
    "update | certificates.k8s.io | certificatesigningrequests/approval certificatesigningrequests/status",
    "approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet",
    "sign | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown",
    "create | authorization.k8s.io | subjectaccessreviews",
    "create update patch | - events.k8s.io | events",
  ],
  "clusterrole-aggregation-controller": [
    "get list watch update patch escalate | rbac.authorization.k8s.io | clusterroles",
  ],
  "cronjob-controller": [
    "get list watch update | batch | cronjobs",
    "get list watch create update patch delete | batch | jobs",
    "update | batch | cronjobs/status",
    "update | batch | cronjobs/finalizers",
    "list watch delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "daemon-set-controller": [
    "get list watch | apps extensions | daemonsets",
    "update | apps extensions | daemonsets/status",
    "update | apps extensions | daemonsets/finalizers",
    "list watch | - | nodes",
    "list watch create patch delete | - | pods",
    "create | - | pods/binding",
    "get list watch create update patch delete | apps | controllerrevisions",
    "create update patch | - events.k8s.io | events",
  ],
  "deployment-controller": [
    "get list watch update | apps extensions | deployments",
    "update | apps extensions | deployments/status",
    "update | apps extensions | deployments/finalizers",
    "get list watch create update patch delete | apps extensions | replicasets",
    "get list watch update | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "device-taint-eviction-controller": [
    "get list watch delete | - | pods",
    "update patch | - | pods/status",
    "get list watch | resource.k8s.io | resourceclaims",
    "get list watch | resource.k8s.io | resourceslices",
    "get list watch | resource.k8s.io | deviceclasses",
    "create update patch | - events.k8s.io | events",
  ],
  "disruption-controller": [
    "get list watch | apps extensions | deployments",
    "get list watch | apps extensions | replicasets",
    "get list watch | - | replicationcontrollers",
    "get list watch | policy | poddisruptionbudgets",
    "get list watch | apps | statefulsets",
    "update | policy | poddisruptionbudgets/status",
    "update patch | - | pods/status",
    "get | * | */scale",
    "create update patch | - events.k8s.io | events",
  ],
  "endpoint-controller": [
    "get list watch | - | pods services",
    "get list watch create update delete | - | endpoints",
    "create | - | endpoints/restricted",
    "create update patch | - events.k8s.io | events",
  ],
  "endpointslice-controller": [
    "get list watch | - | nodes pods services",
    "update | - | services/finalizers",
    "get list watch create update delete | discovery.k8s.io | endpointslices",
    "create update patch | - events.k8s.io | events",
  ],
  "endpointslicemirroring-controller": [
    "get list watch | - | endpoints services",
    "update | - | services/finalizers",
    "update | - | endpoints/finalizers",
    "get list watch create update delete | discovery.k8s.io | endpointslices",
    "create update patch | - events.k8s.io | events",
  ],
  "ephemeral-volume-controller": [
    "get list watch | - | pods",
    "update | - | pods/finalizers",
    "get list watch create | - | persistentvolumeclaims",
    "create update patch | - events.k8s.io | events",
  ],
  "expand-controller": [
    "get list watch update patch | - | persistentvolumes",
    "update patch | - | persistentvolumeclaims/status",
    "get list watch | - | persistentvolumeclaims",
    "create update patch | - events.k8s.io | events",
  ],
  "generic-garbage-collector": [
    "get list watch update patch delete | * | *",
    "create update patch | - events.k8s.io | events",
  ],
  "horizontal-pod-autoscaler": [
    "get list watch | autoscaling | horizontalpodautoscalers",
    "update | autoscaling | horizontalpodautoscalers/status",
    "get update | * | */scale",
    "list watch | - | pods",
    "list watch | metrics.k8s.io | pods",
    "get list watch | custom.metrics.k8s.io | *",
    "get list watch | external.metrics.k8s.io | *",
    "create update patch | - events.k8s.io | events",
  ],
  "job-controller": [
    "get list watch update patch | batch | jobs",
    "update | batch | jobs/status",
    "update | batch | jobs/finalizers",
    "list watch create patch delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "legacy-service-account-token-cleaner": [
    "get | - | configmaps | kube-apiserver-legacy-service-account-token-tracking",
    "patch delete | - | secrets",
  ],
  "namespace-controller": [
    "get list watch delete | - | namespaces",
    "update | - | namespaces/finalize namespaces/status",
    "get list watch delete deletecollection | * | *",
  ],
  "node-controller": [
    "get list watch update patch delete | - | nodes",
    "update patch | - | nodes/status",
    "update patch | - | pods/status",
    "get list watch delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "persistent-volume-binder": [
    "get list watch create update delete | - | persistentvolumes",
    "update | - | persistentvolumes/status",
    "get list watch update | - | persistentvolumeclaims",
    "update | - | persistentvolumeclaims/status",
    "get list watch create delete | - | pods",
    "get list watch | storage.k8s.io | storageclasses",
    "list watch | - | nodes",
    "create update patch | - events.k8s.io | events",
    "watch | - | events",
  ],
  "pod-garbage-collector": ["list watch delete | - | pods", "get list watch | - | nodes", "patch | - | pods/status"],
  "pv-protection-controller": [
    "get list watch update | - | persistentvolumes",
    "create update patch | - events.k8s.io | events",
  ],
  "pvc-protection-controller": [
    "get list watch update | - | persistentvolumeclaims",
    "update | - | persistentvolumeclaims/status",
    "get list watch | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "replicaset-controller": [
    "get list watch update | apps extensions | replicasets",
    "update | apps extensions | replicasets/status",
    "update | apps extensions | replicasets/finalizers",
    "list watch create patch delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "replication-controller": [
    "get list watch update | - | replicationcontrollers",
    "update | - | replicationcontrollers/status",
    "update | - | replicationcontrollers/finalizers",
    "list watch create patch delete | - | pods",
    "create update patch | - events.k8s.io | events",
  ],
  "resource-claim-controller": [
    "get list watch | - | pods",
    "update | - | pods/finalizers",
    "get list watch create delete | resource.k8s.io | resourceclaims",
    "update patch | resource.k8s.io | resourceclaims resourceclaims/status",
    "update patch | - | pods/status",
    "create update patch | - events.k8s.io | events",
    "update patch | resource.k8s.io | resourceclaims/binding",
  ],
  "resourcequota-controller": [
    "list watch | * | *",
    "update | - | resourcequotas/status",
    "create update patch | - events.k8s.io | events",
  ],
  "root-ca-cert-publisher": ["create update | - | configmaps", "create update patch | - events.k8s.io | events"],
  "route-controller": [
    "list watch | - | nodes",
    "patch | - | nodes/status",
    "create update patch | - events.k8s.io | events",
  ],
  "selinux-warning-controller": [
    "create update patch | - events.k8s.io | events",
    "get list watch | - | persistentvolumes",
    "get list watch | - | persistentvolumeclaims",
    "get list watch | - | pods",
    "get list watch | storage.k8s.io | csidrivers",
  ],
  "service-account-controller": ["create | - | serviceaccounts", "create update patch | - events.k8s.io | events"],
  "service-cidrs-controller": [
    "get list watch update patch | networking.k8s.io | servicecidrs",
    "update patch | networking.k8s.io | servicecidrs/finalizers",
    "update patch | networking.k8s.io | servicecidrs/status",
    "get list watch | networking.k8s.io | ipaddresses",
    "create update patch | - events.k8s.io | events",
  ],
  "service-controller": [
    "get list watch | - | services",
    "update patch | - | services/status",
    "list watch | - | nodes",
    "create update patch | - events.k8s.io | events",
  ],
  "statefulset-controller": [
    "list watch | - | pods",
    "get list watch | apps | statefulsets",
    "update | apps | statefulsets/status",
    "update | apps | statefulsets/finalizers",
    "get create update patch delete | - | pods",
    "get list watch create update patch delete | apps | controllerrevisions",
    "get list watch create | - | persistentvolumeclaims",
    "update delete | - | persistentvolumeclaims",
    "update | - | pods/finalizers",
    "create update patch | - events.k8s.io | events",
  ],
  "ttl-after-finished-controller": [
    "get list watch delete | batch | jobs",
    "create update patch | - events.k8s.io | events",
  ],
  "ttl-controller": ["list watch update patch | - | nodes", "create update patch | - events.k8s.io | events"],
  "validatingadmissionpolicy-status-controller": [
    "get list watch | admissionregistration.k8s.io | validatingadmissionpolicies",
    "get update patch | admissionregistration.k8s.io | validatingadmissionpolicies/status",
    "create update patch | - events.k8s.io | events",
  ],
  "volumeattributesclass-protection-controller": [
    "get list watch | - | persistentvolumeclaims",
    "get list watch | - | persistentvolumes",
    "get list watch update | storage.k8s.io | volumeattributesclasses",
    "create update patch | - events.k8s.io | events",
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
  "sampan:local-path-provisioner": ["account:kube-system/local-path-provisioner"],
  "sampan:rbd-provisioner": ["account:kube-system/rbd-provisioner"],
  "sampan:node-proxier": ["user:system:kube-proxy"],
  "sampan:node-network": ["group:system:nodes"],
  "sampan:serving-approver": ["account:kube-system/serving-approver"],
  "sampan:lb": ["user:system:lb"],
  "sampan:ingress": ["user:system:ingress"],
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
    name: "sampan:cluster-dns",
    rules: ["create patch delete | discovery.k8s.io | endpointslices"],
    subjects: ["account:kube-system/cluster-dns"],
  },
  {
    namespace: "kube-system",
    name: "sampan:cluster-settings",
    rules: ["get | - | configmaps | sampan-cluster"],
    subjects: ["group:system:nodes", "group:system:bootstrappers:kubeadm:default-node-token"],
  },
  // Each instance tells the others by a Lease that it listens, and where.
  {
    namespace: "kube-system",
    name: "sampan:ingress",
    rules: ["get list watch create patch delete | coordination.k8s.io | leases"],
    subjects: ["user:system:ingress"],
  },
  // Stub domains and upstream resolvers of the cluster's DNS, under the name that kube-dns read them.
  {
    namespace: "kube-system",
    name: "sampan:dns-settings",
    rules: ["get list watch | - | configmaps | kube-dns"],
    subjects: ["group:system:nodes"],
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
    rules: [
      "get list watch create update | coordination.k8s.io | leases",
      "get list watch create update | coordination.k8s.io | leasecandidates",
    ],
    subjects: [
      "user:system:kube-controller-manager",
      "account:kube-system/kube-controller-manager",
      "account:kube-system/leader-election-controller",
    ],
  },
  {
    namespace: "kube-system",
    name: "system::leader-locking-kube-scheduler",
    rules: [
      "get list watch create update | coordination.k8s.io | leases",
      "get list watch create update | coordination.k8s.io | leasecandidates",
    ],
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
