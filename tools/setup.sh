#!/bin/sh
# Brings a fresh Debian machine to where Sampan runs: npm packages, Node.js 26 (from the npm package "node"), Debian packages.
# Asks for nothing that is there already; a second run costs a few milliseconds. Usage: setup.sh [run|test|ceph]
set -eu
cd "$(dirname "$0")/.."
say() { printf 'setup: %s\n' "$*" >&2; }

# npm packages, again whenever the lock file changed
if ! cmp -s package-lock.json node_modules/.sampan-lock 2>/dev/null; then
  say "installing npm packages"
  npm ci --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json node_modules/.sampan-lock
fi
# npm may refuse install scripts: then the package "node" has not put its binary in place yet
if ! node_modules/.bin/node --version 2>/dev/null | grep -q '^v26\.'; then
  say "installing Node.js 26"
  (cd node_modules/node && node installArchSpecificPackage.js) >&2
fi

# Debian packages: NAME:COMMAND-OR-FILE that shows it is there
wanted="containerd:containerd runc:runc nftables:nft containernetworking-plugins:/usr/lib/cni/bridge catatonit:catatonit iproute2:ip"
command -v kubectl >/dev/null 2>&1 || wanted="$wanted kubernetes-client:kubectl"
[ "${1:-run}" = test ] && wanted="$wanted busybox-static:busybox redis-server:redis-server util-linux:nsenter sqlite3:sqlite3 openssl:openssl docker-registry:docker-registry haproxy:haproxy wrk:wrk etcd-server:etcd bind9-dnsutils:dig dnsperf:dnsperf"
# Of a Ceph of the tests' own, and what it takes to use its images
[ "${1:-run}" = ceph ] && wanted="$wanted busybox-static:busybox util-linux:nsenter ceph-mon:ceph-mon ceph-mgr:ceph-mgr ceph-osd:ceph-osd ceph-common:rbd rbd-fuse:rbd-fuse rbd-nbd:rbd-nbd e2fsprogs:mkfs.ext4 xfsprogs:mkfs.xfs"
missing=""
for each in $wanted; do
  package=${each%%:*} proof=${each#*:}
  case $proof in
    /*) [ -e "$proof" ] || [ -e "/opt/cni/bin/${proof##*/}" ] ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$proof" >/dev/null 2>&1 ;;
  esac || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "these are missing; on Debian: sudo apt-get install -y$missing"
    [ "${1:-run}" = test ] || exit 1
  else
    say "installing Debian packages:$missing"
    apt-get update -qq >&2
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
  fi
fi
