#!/bin/sh
# npm test: set-up, then every check and every test. Arguments, if any, name the test files to run instead of all.
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh test
export PATH="$PWD/node_modules/.bin:/usr/sbin:/sbin:$PATH"
node tools/facts/types.ts
node tools/bundle.ts
if [ $# -eq 0 ]; then
  tsc --noEmit
  biome check --error-on-warnings .
  set -- 'tools/**/*.test.ts' 'src/**/*.test.ts' 'bench/**/*.test.ts' 'test/**/*.test.ts'
fi
exec node --test --test-concurrency=2 --test-timeout=180000 --test-reporter="${TEST_REPORTER:-spec}" "$@"
