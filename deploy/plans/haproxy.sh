#!/bin/sh
# Sets the state of a server behind HAProxy by its runtime API: BACKEND/SERVER, and ready, drain or maint. The API is silent when it did
# it, and says why when it did not.
set -eu
said=$(printf 'set server %s state %s\n' "$1" "$2" | socat stdio "${HAPROXY_SOCKET:-/var/run/haproxy.sock}")
[ -z "$said" ] || { echo "$said" >&2; exit 1; }
