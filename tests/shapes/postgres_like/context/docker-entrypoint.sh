#!/bin/sh
set -e
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
    chown postgres "$PGDATA"
    chmod 00700 "$PGDATA"
    exec gosu postgres "$0" "$@"
fi
if [ "$1" = postgres ]; then
    for script in /docker-entrypoint-initdb.d/*; do
        [ ! -e "$script" ] || . "$script"
    done
    echo "initialised" > "$PGDATA/PG_VERSION"
fi
exec "$@"
