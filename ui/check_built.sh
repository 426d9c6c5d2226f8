#!/usr/bin/env bash
# Whether the committed page is what its sources give: builds it anew elsewhere and compares. Needs Node 20 and npm.
set -euo pipefail
cd "$(dirname "$0")"
[[ -d node_modules ]] || npm ci --no-audit --no-fund
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npx tsc --noEmit
npx vite build --logLevel warn --emptyOutDir --outDir "$fresh"
diff -r "$fresh" ../src/weightsmith/web/page || {
  echo "src/weightsmith/web/page is not what ui/ gives: run 'npm run build' in ui/ and commit it" >&2
  exit 1
}
