#!/usr/bin/env bash
# Proves that the settings beside it bring a server back to a chosen moment: on a server of its own in a
# temporary folder, rows are written, lost and recovered. Ends with 0 if they are there again.
#
#     prove.sh [FOLDER WITH POSTGRESQL'S PROGRAMS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
patience=${PITR_SECONDS:-60}
unset "${!PG@}"
export LC_ALL=C

fail() {
    echo "prove.sh: $1" >&2
    exit "${2:-1}"
}

find_programs() {
    local folder
    for folder in "$@" $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) /usr/local/bin /usr/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/pg_basebackup" ] && echo "$folder" && return
    done
    fail "no folder with PostgreSQL's server programs" 77
}

# PostgreSQL does not run as root.
find_user() {
    local name
    for name in postgres ingestion-pg nobody; do
        id "$name" >/dev/null 2>&1 && echo "$name" && return
    done
    fail "as root it needs a user postgres, ingestion-pg or nobody" 77
}

as_server() { if [ "$(id -u)" = 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi; }

start() {
    as_server "$bin/pg_ctl" -D "$1" -l "$folder/log" -s -w -t "$patience" \
        -o "-c listen_addresses= -c unix_socket_directories=$folder" start || {
        tail -n 5 "$folder/log" >&2
        fail "the server does not start"
    }
}

stop() { as_server "$bin/pg_ctl" -D "$1" -s -m immediate stop 2>/dev/null || true; }

clean_up() {
    stop "$folder/data"
    stop "$folder/recovered"
    rm -rf "$folder"
}

ask() { as_server "$bin/psql" -h "$folder" -U postgres -d postgres -XAtq -v ON_ERROR_STOP=1 -c "$1"; }

eventually() {
    local until=$((SECONDS + patience))
    until eval "$1"; do
        [ "$SECONDS" -lt "$until" ] || fail "$2"
        sleep 0.1
    done
}

archive_all() {
    local piece
    piece=$(ask "SELECT pg_walfile_name(pg_switch_wal())")
    eventually "[ -e '$folder/wal/$piece' ]" "$piece was not archived"
}

cd /
bin=$(find_programs "$@")
user=$([ "$(id -u)" != 0 ] || find_user)
folder=$(mktemp -d /tmp/pitr.XXXXXX)
trap clean_up EXIT
[ "$(id -u)" != 0 ] || chown "$user" "$folder"

# The settings as they are, but for where things lie.
sed -e "s|/usr/local/lib/ingestion/|$folder/|" -e "s|/var/backups/postgresql/wal|$folder/wal|" \
    "$here/pitr.conf" >"$folder/pitr.conf"
cp "$here/archive.sh" "$folder/archive.sh"
chmod a+rx "$folder/pitr.conf" "$folder/archive.sh"
as_server mkdir -m 700 "$folder/wal"
as_server "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
as_server sh -c "echo \"include = '$folder/pitr.conf'\" >>'$folder/data/postgresql.conf'"
start "$folder/data"
echo "server      $("$bin/postgres" --version)"

all="SELECT count(*) || ' rows, ' || md5(string_agg(row_id || name, ',' ORDER BY row_id)) FROM people"
ask "CREATE TABLE people (row_id text PRIMARY KEY, name text NOT NULL)"
ask "INSERT INTO people SELECT n, 'before the base backup' FROM generate_series(1, 1000) AS n"
as_server "$bin/pg_basebackup" -h "$folder" -U postgres -D "$folder/base" -c fast -X stream
ask "INSERT INTO people SELECT n, 'after it' FROM generate_series(1001, 1500) AS n"
before=$(ask "$all")
moment=$(ask "SELECT clock_timestamp()")
echo "before      $before at $moment"

sleep 1
ask "DELETE FROM people"
ask "INSERT INTO people VALUES ('later', 'written after the disaster')"
archive_all
echo "disaster    $(ask "$all")"
stop "$folder/data"
rm -rf "$folder/data"

as_server mv "$folder/base" "$folder/recovered"
as_server sh -c "
    printf '%s\n' \"recovery_target_time = '$moment'\" \"recovery_target_action = 'promote'\" \
        >>'$folder/recovered/postgresql.auto.conf'
    touch '$folder/recovered/recovery.signal'"
start "$folder/recovered"
eventually '[ "$(ask "SELECT pg_is_in_recovery()")" = f ]' "the recovery does not end"
after=$(ask "$all")
echo "recovered   $after"
[ "$after" = "$before" ] || fail "what was recovered is not what was there"

# It goes on, and its own log is archived beside the old one.
ask "INSERT INTO people VALUES ('new', 'written after the recovery')"
archive_all
echo "goes on     $(ask "SELECT count(*) FROM people") rows"
