#!/bin/sh
# May this release go out? For any pipeline that has curl:
#
#   SNAPBACK_URL=https://snapback.example.com SNAPBACK_TOKEN=… gate.sh checkout@production v42
#
# Ends with 3 where Snapback says that it may not, and says why. Whatever else happens lets it through with a warning: a pipeline must not
# stand still for a server that is away, and a fix least of all.
set -u
service=$1
release=$2
answer=$(mktemp) || exit 0
trap 'rm -f "$answer"' EXIT
# The token goes by standard input: others on this machine can see the words of a command.
status=$(printf 'header = "Authorization: Bearer %s"\n' "${SNAPBACK_TOKEN:-}" |
  curl --config - --silent --show-error --max-time 10 --output "$answer" --write-out '%{http_code}' --get \
    --data-urlencode "release=$release" "${SNAPBACK_URL%/}/v1/gate/$service") || [ "$status" = 423 ] || status=none
if [ "$status" = 423 ]; then
  echo "snapback: $release may not go out on $service:" >&2
  cat "$answer" >&2
  exit 3
fi
if [ "$status" != 200 ] || ! grep -q '"known":true' "$answer"; then
  echo "snapback: the gate cannot tell ($status), and lets it through: $(cat "$answer")" >&2
fi
