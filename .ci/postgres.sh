#!/usr/bin/env bash
# A throw-away PostgreSQL server for tests, on the loopback device and a free port.
#
#   url=$(.ci/postgres.sh start)   # prints the URL and nothing else on stdout
#   WEIGHTSMITH_TEST_POSTGRES=$url pytest tests/store
#   .ci/postgres.sh stop "$url"    # stops that server and deletes its folder
#
# PG_BIN names the folder of the server's programs where they are not found by themselves.
set -Eeuo pipefail

programs() {
  if [[ -n ${PG_BIN:-} ]]; then
    echo "$PG_BIN"
  elif command -v initdb >/dev/null; then
    dirname "$(command -v initdb)"
  else # Debian keeps them out of PATH, one folder per version
    local newest
    newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    [[ -x $newest/initdb ]] || { echo "PostgreSQL is not installed: set PG_BIN" >&2; exit 1; }
    echo "$newest"
  fi
}

# The server refuses to run as root; whoever is root runs it as the account that the package made.
as_server() {
  if [[ $EUID -eq 0 ]]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000)) # below the range that the kernel hands out by itself
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
  echo "no free port found" >&2
  exit 1
}

start() {
  local bin folder port
  bin=$(programs)
  # One folder per port, so that `stop` finds it from the URL alone.
  for _ in 1 2 3 4 5; do
    port=$(free_port)
    folder=${TMPDIR:-/tmp}/weightsmith-postgres-$port
    if mkdir -m 700 "$folder" 2>/dev/null; then break; fi
    folder=
  done
  [[ -n ${folder:-} ]] || { echo "no folder could be made under ${TMPDIR:-/tmp}" >&2; exit 1; }
  if [[ $EUID -eq 0 ]]; then chown postgres "$folder"; fi
  trap 'rm -rf "$folder"' ERR
  as_server "$bin/initdb" --pgdata "$folder/data" --username postgres --auth trust --encoding UTF8 --no-sync >/dev/null
  as_server "$bin/pg_ctl" start --pgdata "$folder/data" --wait --timeout 60 --log "$folder/log" --options \
    "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$folder' -c fsync=off -c max_connections=200" \
    >/dev/null || { cat "$folder/log" >&2; false; }
  echo "postgresql://postgres@127.0.0.1:$port/postgres"
}

stop() {
  local port folder
  [[ $1 =~ ^postgresql://postgres@127\.0\.0\.1:([0-9]+)/postgres$ ]] || { echo "not a URL that start printed" >&2; exit 2; }
  port=${BASH_REMATCH[1]}
  folder=${TMPDIR:-/tmp}/weightsmith-postgres-$port
  [[ -d $folder/data ]] || { echo "no server of this script runs on port $port" >&2; exit 1; }
  as_server "$(programs)/pg_ctl" stop --pgdata "$folder/data" --mode immediate >/dev/null || true
  rm -rf "$folder"
}

case "${1:-}" in
  start) start ;;
  stop) stop "${2:?stop needs the URL that start printed}" ;;
  *) echo "usage: $0 start | stop URL" >&2; exit 2 ;;
esac
