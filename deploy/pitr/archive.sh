#!/bin/sh
# PostgreSQL's archive_command: keeps one finished piece of the log for good. Whenever it fails, the server
# keeps the piece itself and tries again.
#
#     archive.sh PIECE TARGET
set -eu
umask 077
piece=$1
target=$2
folder=$(dirname "$target")

if [ -e "$target" ]; then
    # After a crash the server may offer again what was kept already. Other bytes are another server's.
    if ! cmp -s "$piece" "$target"; then
        echo "archive.sh: $target is there already, and is something else; nothing was overwritten" >&2
        exit 1
    fi
    sync "$target" "$folder"
    exit 0
fi

find "$folder" -maxdepth 1 -name '.new.*' -mmin +60 -delete
new=$(mktemp "$folder/.new.XXXXXXXX")
trap 'rm -f "$new"' EXIT
cp "$piece" "$new"
sync "$new"
# Unlike mv it never takes the place of a file.
ln "$new" "$target"
sync "$folder"
