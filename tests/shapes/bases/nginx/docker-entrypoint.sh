#!/bin/sh
. /usr/local/lib/stand-in.sh
for template in /etc/nginx/templates/*.template; do
    [ ! -e "$template" ] ||
        sed "s/\${PORT}/${PORT-}/" "$template" > "/etc/nginx/conf.d/$(basename "$template" .template)"
done
exec "$@"
