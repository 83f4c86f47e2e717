#!/bin/sh
# npm run test:ceph: volumes of a real Ceph, which is installed if it is missing, started on loopback and stopped again.
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh ceph
export PATH="$PWD/node_modules/.bin:/usr/sbin:/sbin:$PATH"
node tools/facts/types.ts
node tools/bundle.ts
export SAMPAN_TEST_GROUP=ceph
exec node --test --test-concurrency=1 --test-timeout=300000 --test-reporter="${TEST_REPORTER:-spec}" 'test/ceph/*.test.ts'
