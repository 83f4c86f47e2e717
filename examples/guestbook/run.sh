#!/bin/sh
# The guestbook from nothing: packs its images from this machine's files, applies the manifests, waits until all is rolled out,
# then uses it from inside the cluster (by DNS name and cluster address) and from the host (by node port), and fails when anything
# is missing.
#
#   run.sh [--data-dir DIR] [--clean]
#
# --data-dir DIR  the cluster's data folder (default: SAMPAN_DATA_DIR, else /var/lib/sampan)
# --clean         remove everything the example made in the cluster; the images stay
#
# Uses $KUBECONFIG, else the data folder's admin.kubeconfig; $SAMPAN, else this checkout's dist/sampan.js.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
data_dir=${SAMPAN_DATA_DIR:-/var/lib/sampan}
clean=false
while [ $# -gt 0 ]; do
  case $1 in
    --data-dir=*) data_dir=${1#*=} ;;
    --data-dir) data_dir=${2:?--data-dir needs a folder}; shift ;;
    --clean) clean=true ;;
    *) echo "run.sh: unknown argument $1 (want --data-dir DIR, --clean)" >&2; exit 2 ;;
  esac
  shift
done

# npm's own Node.js 26 first, as the npm scripts do
PATH="$root/node_modules/.bin:$PATH:/usr/sbin:/sbin"
KUBECONFIG=${KUBECONFIG:-$data_dir/admin.kubeconfig}
export PATH KUBECONFIG

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
kube() { kubectl --namespace default "$@"; }
sampan() {
  if [ -n "${SAMPAN:-}" ]; then
    # shellcheck disable=SC2086 # may be a command with arguments
    $SAMPAN "$@"
  else
    node "$root/dist/sampan.js" "$@"
  fi
}

command -v kubectl >/dev/null || fail "no kubectl; on Debian: apt-get install -y kubernetes-client"

if $clean; then
  kube delete --ignore-not-found deployment,service,configmap,secret,pod --selector app=guestbook
  # The pods follow their Deployment, each with the time it has to end.
  kube wait --for=delete pod --selector app=guestbook --timeout=60s
  exit 0
fi

busybox=$(command -v busybox) || fail "no busybox; on Debian: apt-get install -y busybox-static"
redis=$(command -v redis-server) && redis_cli=$(command -v redis-cli) ||
  fail "no redis; on Debian: apt-get install -y redis-server"

# What a client sees: the page's entries, one a line.
entries() { sed -n 's/^<li>\(.*\)<\/li>$/\1/p'; }
expect() { # expect WHAT ENTRY < page
  entries | grep -qxF "$2" || fail "$1 does not show the entry \"$2\""
  echo "$1 shows \"$2\""
}
# Bounded by `timeout`, not by wget's own -T: with that, Debian's static busybox crashes while it looks up a name.
inside() { kube exec guestbook-visitor -- /bin/busybox timeout 10 /bin/busybox "$@"; }
outside() { "$busybox" timeout 10 "$busybox" "$@"; }

say "pack the images"
pack() { name=$1; shift; sampan image pack "$name" --data-dir "$data_dir" "$@"; }
pack sampan.local/busybox:1 --file "$busybox:/bin/busybox"
pack sampan.local/guestbook-web:1 --file "$busybox:/bin/busybox" --file "$here/web/redis.sh:/app/redis.sh" \
  --file "$here/web/index.cgi:/www/cgi-bin/index.cgi" --file "$here/web/ready.cgi:/www/cgi-bin/ready.cgi" \
  --cmd "/bin/busybox httpd -f -vv -p 8080 -h /www"
pack sampan.local/guestbook-redis:1 --file "$redis:/usr/bin/redis-server" --file "$redis_cli:/usr/bin/redis-cli" \
  --cmd redis-server

say "apply the manifests"
if ! kube get secret guestbook-redis >/dev/null 2>&1; then
  password=$(head -c 24 /dev/urandom | base64 | tr -d '\n/+=')
  # From standard input, so that the password is in no process list.
  printf 'password=%s\n' "$password" |
    kube create secret generic guestbook-redis --from-env-file=/dev/stdin
  kube label secret guestbook-redis app=guestbook
fi
kube apply -f "$here/redis.yaml" -f "$here/web.yaml"

say "wait until it is rolled out"
kube rollout status deployment/guestbook-redis --timeout=120s
kube rollout status deployment/guestbook --timeout=120s
kube get pods --selector app=guestbook --output wide
kube get endpointslices --selector kubernetes.io/service-name=guestbook

say "use it from inside"
kube delete pod guestbook-visitor --ignore-not-found --now
kube run guestbook-visitor --image=sampan.local/busybox:1 --image-pull-policy=Never --restart=Never \
  --labels=app=guestbook,tier=visitor --command -- /bin/busybox sleep 3600
kube wait --for=condition=Ready pod/guestbook-visitor --timeout=60s
name=guestbook.default.svc.cluster.local
cluster_ip=$(kube get service guestbook --output 'jsonpath={.spec.clusterIP}')
inside nslookup "$name" | grep -F "$cluster_ip" || fail "$name does not resolve to $cluster_ip"
stamp=$(date +%s)-$$
inside wget -q -O - --post-data "entry=from+a+pod,+$stamp" "http://$name/" | expect "http://$name/" "from a pod, $stamp"
inside wget -q -O - "http://$cluster_ip/" | expect "http://$cluster_ip/" "from a pod, $stamp"

say "use it from the host"
node_ip=$(kube get nodes --output 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
node_port=$(kube get service guestbook --output 'jsonpath={.spec.ports[0].nodePort}')
url=http://$node_ip:$node_port/
outside wget -q -O - --post-data "entry=from+the+host,+$stamp" "$url" | expect "$url" "from the host, $stamp"
outside wget -q -O - "$url" | expect "$url" "from a pod, $stamp"

say "every replica serves"
replicas=$(kube get deployment guestbook --output 'jsonpath={.spec.replicas}')
# Chosen at random for each connection: so many that missing one of them means that it isn't there.
requests=$((replicas * 12))
seen=$(while [ $((requests -= 1)) -ge 0 ]; do
  outside wget -q -O - "$url" | sed -n 's/^<p>served by \(.*\)<\/p>$/\1/p'
done | sort | uniq -c)
echo "$seen"
[ "$(echo "$seen" | wc -l)" -eq "$replicas" ] || fail "want answers of $replicas pods in $requests requests"

say "the web tier's log"
kube logs deployment/guestbook --tail=3

kube delete pod guestbook-visitor --now
say "works; open $url, or end it with $0 --clean"
