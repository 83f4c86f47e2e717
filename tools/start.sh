#!/bin/sh
# npm start: set-up, then a cluster in the foreground. Flags go on to `sampan up`.
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh run
export PATH="$PWD/node_modules/.bin:$PATH"
node tools/bundle.ts
exec node dist/sampan.js up "$@"
