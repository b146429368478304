#!/bin/sh
# A deployer of your own in shell, for a provider of kind `command`: docs/providers/own.md is the contract. It keeps its state in the folder
# $STATE: `current`, `history` (release, beginning and key, a line each) and a file for each key. Put what really deploys into `put_out`.
set -eu
STATE=${STATE:-state}
question=$(cat)

# The fields of the question are plain: names, releases, keys and times.
field() { printf '%s' "$question" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }

put_out() { # RELEASE: whatever deploys; it must have ended, well or not, when this returns
  printf '%s\n' "$1" > "$STATE/current.next"
  mv "$STATE/current.next" "$STATE/current"
}

current() { cat "$STATE/current" 2>/dev/null || true; }

case $(field action) in
  describe)
    printf '{"current":"%s","remembers":true}\n' "$(current)"
    ;;
  history)
    lines=
    while read -r release at key; do
      mark=
      if [ -n "$key" ]; then mark=",\"key\":\"$key\""; fi
      line="{\"release\":\"$release\",\"version\":\"$release\",\"started_at\":\"$at\",\"finished_at\":\"$at\",\"exists\":true$mark}"
      lines="$lines${lines:+,}$line"
    done < "$STATE/history"
    printf '{"deployments":[%s]}\n' "$lines"
    ;;
  rollback)
    key=$(field key) to=$(field to)
    name=$STATE/key.$(printf '%s' "$key" | tr / _)
    # One at a time, and each key once: a folder is made by one of two that try, and by the other never.
    if ! mkdir "$name" 2>/dev/null; then
      echo '{"state":"begun","says":"begun before"}'
      exit 0
    fi
    if [ "$(current)" != "$(field from)" ]; then
      rmdir "$name"
      printf '{"state":"moved","says":"%s serves"}\n' "$(current)"
      exit 0
    fi
    echo running > "$name/state"
    printf '%s %s %s\n' "$to" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$key" >> "$STATE/history"
    if put_out "$to"; then echo "done" > "$name/state"; else echo failed > "$name/state"; fi
    echo '{"state":"begun"}'
    ;;
  status)
    name=$STATE/key.$(field key | tr / _)
    # A key whose work was cut off before its first word is taken all the same: a person has to look, and nobody begins it again.
    if [ -d "$name" ]; then state=$(cat "$name/state" 2>/dev/null || echo needs_human); else state=unknown; fi
    printf '{"state":"%s"}\n' "$state"
    ;;
  *)
    echo "there is no such action" >&2
    exit 64
    ;;
esac
