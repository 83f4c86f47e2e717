#!/bin/sh
# npm start: set-up, then a cluster in the foreground (`sampan up`), or `npm start -- server …` and `npm start -- agent …`.
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh run
export PATH="$PWD/node_modules/.bin:$PATH"
node tools/bundle.ts
case "${1:-}" in
  server | agent) ;;
  *) set -- up "$@" ;;
esac
exec node dist/sampan.js "$@"
