#!/bin/sh
# A deployer of your own in shell, for a provider of kind `command`: docs/providers/own.md is the contract. It keeps the state of each service
# in a folder of its own below $STATE: `current`, `history` (release, beginning and key, a line each), and a folder for each key. Put what
# really deploys into `put_out`. Needs flock (util-linux).
set -eu
question=$(cat)

# The fields of the question are plain: names, releases, keys and times.
field() { printf '%s' "$question" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }

put_out() { # RELEASE: whatever deploys; any command that fails here fails the rollback
  printf '%s\n' "$1" > "$state/current.next"
  mv "$state/current.next" "$state/current"
}

state=${STATE:-state}/$(field service)@$(field environment)
current() { cat "$state/current" 2>/dev/null || true; }
folder_of() { printf '%s/key.%s' "$state" "$(printf '%s' "$1" | tr / _)"; }
# How the work of a key stands. One that was cut off before its end is for people: nobody begins it again.
stands() {
  if [ ! -d "$(folder_of "$1")" ]; then echo unknown; else cat "$(folder_of "$1")/state" 2>/dev/null || echo needs_human; fi
}
# What is on its way, by its name in the history: the last one, where its work goes on.
going_out() {
  tail -n 1 "$state/history" | while read -r release at key; do
    if [ -n "$key" ] && [ "$(stands "$key")" = running ]; then printf '%s@%s' "$release" "$at"; fi
  done
}
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

case $(field action) in
  describe)
    named=$(going_out)
    printf '{"current":"%s"%s,"remembers":true}\n' "$(current)" "${named:+,\"in_flight\":\"$named\"}"
    ;;
  history)
    lines=
    while read -r release at key; do
      line="\"deployment\":\"$release@$at\",\"release\":\"$release\",\"version\":\"$release\",\"started_at\":\"$at\",\"exists\":true"
      end=",\"finished_at\":\"$at\"" status=finished
      if [ -n "$key" ]; then
        line="$line,\"key\":\"$key\""
        case $(stands "$key") in done) ;; running) status=going_out end= ;; failed) status=failed ;; *) status=stopped ;; esac
      fi
      lines="$lines${lines:+,}{$line$end,\"status\":\"$status\"}"
    done < "$state/history"
    printf '{"deployments":[%s]}\n' "$lines"
    ;;
  rollback)
    key=$(field key) to=$(field to) deadline=$(field deadline)
    # To look and to begin is one step, of which one at a time is taken.
    exec 9> "$state/lock"
    flock 9
    if [ "$(stands "$key")" != unknown ]; then
      echo '{"state":"begun","says":"begun before"}'
      exit 0
    fi
    if [ -n "$deadline" ] && [ "$(expr "$(now)" \> "$deadline")" = 1 ]; then
      echo '{"state":"busy","says":"it came too late"}'
      exit 0
    fi
    named=$(going_out) from=$(field from)
    if [ "$(current)" != "$from" ] && [ "${named%%@*}" != "$from" ]; then
      printf '{"state":"moved","says":"%s serves"}\n' "$(current)"
      exit 0
    fi
    folder=$(folder_of "$key")
    # Written down before anything is done: without that nothing is.
    mkdir "$folder" && echo running > "$folder/state" && printf '%s %s %s\n' "$to" "$(now)" "$key" >> "$state/history" || exit 75
    flock -u 9
    # A subshell of its own, because a command that fails inside a condition fails nobody. What it says is kept.
    set +e
    (set -e; put_out "$to") > "$folder/log" 2>&1 9>&-
    if [ $? = 0 ]; then echo "done" > "$folder/state"; else echo failed > "$folder/state"; fi
    echo '{"state":"begun"}'
    ;;
  status)
    printf '{"state":"%s"}\n' "$(stands "$(field key)")"
    ;;
  *)
    echo "there is no such action" >&2
    exit 64
    ;;
esac
