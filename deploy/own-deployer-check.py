#!/usr/bin/env python3
"""Asks a deployer of your own what Snapback asks, and says what is not as docs/providers/own.md says.

    own-deployer-check.py SERVICE@ENVIRONMENT [--to RELEASE] [--env NAME]… (--url URL | -- PROGRAM WORDS…)

Without --to nothing is changed. With it the service goes back to that release for real, and is asked for that several times under one
key: take one that may be deployed. A program finds PATH in its environment and what --env names, as from Snapback. SNAPBACK_SECRET signs
what goes to a URL. Ends with 1 where something is wrong.
"""

import concurrent.futures
import contextlib
import datetime
import hashlib
import hmac
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# Snapback waits so long for an answer over HTTP, by a program, and until it leaves one to itself that rolls back; and here a rollback may
# take so long.
BY_HTTP, BY_PROGRAM, BEGUN, DONE_WITHIN = 6, 4, 8, 600
# Where Snapback looks for programs.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
wrong = []


def expect(is_so, says):
    print(("ok    " if is_so else "WRONG ") + says)
    if not is_so:
        wrong.append(says)
    return is_so


def ask(action, **fields):
    """The answer, or what came instead of one."""
    name, environment = service.split("@", 1)
    question = {"snapback": 1, "service": name, "environment": environment, "action": action, **fields}
    body = json.dumps(question, separators=(",", ":")).encode()
    try:
        return (by_http if url else by_program)(question, body)
    except Exception as error:
        return {"error": str(error)}


def by_program(question, body):
    begins = question["action"] == "rollback"
    environment = {"PATH": PATH} | {name: os.environ[name] for name in variables}
    said = tempfile.TemporaryFile()
    program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=said, env=environment, start_new_session=True)
    with contextlib.suppress(BrokenPipeError):
        program.stdin.write(body)
        program.stdin.close()
    try:
        program.wait(BEGUN if begins else BY_PROGRAM)
    except subprocess.TimeoutExpired:
        if begins:
            # It goes on, as from Snapback.
            return {"state": "begun"}
        program.kill()
        return {"error": f"no answer within {BY_PROGRAM} s"}
    if program.returncode:
        return {"error": f"status {program.returncode}", "code": program.returncode}
    said.seek(0)
    return json.loads(said.read().decode().strip().splitlines()[-1])


def by_http(question, body):
    heads = {"content-type": "application/json"}
    if question["action"] == "rollback":
        heads["idempotency-key"] = question["key"] + ":rollback"
    if secret := os.environ.get("SNAPBACK_SECRET"):
        at = str(int(time.time()))
        signed = hmac.new(secret.encode(), b"v1:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
        heads |= {"x-snapback-timestamp": at, "x-snapback-signature": "v1=" + signed}
    request = urllib.request.Request(url, body, heads, method="POST")
    try:
        with door.open(request, timeout=BY_HTTP) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"error": f"status {error.code}", "code": error.code}


def history():
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=30)
    return ask("history", since=since.isoformat().replace("+00:00", "Z")).get("deployments") or []


def is_moment(text):
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo is not None
    except (AttributeError, ValueError):
        return False


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *words):
        return None


# As Snapback: no proxy of the environment, and nobody goes elsewhere.
door = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)


def reads():
    described = ask("describe")
    expect(isinstance(described.get("current"), str), f"describe names what serves: {described}")
    expect(described.get("remembers") is True, "describe says that keys are remembered: without that a lost answer needs a person")
    told = history()
    expect(bool(told), "history tells of deployments")
    for one in told:
        if not (isinstance(one.get("release"), str) and is_moment(one.get("started_at"))):
            expect(False, f"each deployment has a release and a beginning with its zone: {one}")
            break
    named = described.get("in_flight")
    expect(named is None or any(one.get("deployment") == named for one in told), "what is on its way is in the history")
    never = ask("status", key="snapback/" + "0" * 24, **{"from": "", "to": ""})
    expect(never.get("state") == "unknown", f"a key that never was is unknown: {never}")
    nonsense = ask("nonsense")
    code = nonsense.get("code", 0)
    expect(code == 64 or 400 <= code < 500, f"what is not in the contract is refused for good: {nonsense}")
    return described.get("current")


def goes_back(current):
    # A key that Snapback does not take for its own.
    key = "check/" + secrets.token_hex(12)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=10)
    fields = {"case": "check", "attempt": 1, "to": to, "deadline": soon.isoformat().replace("+00:00", "Z")}
    elsewhere = ask("rollback", key="check/" + secrets.token_hex(12), **{"from": "nothing-that-serves"}, **fields)
    expect(elsewhere.get("state") in ("moved", "refused"), f"something else serves than was expected: not done: {elsewhere}")
    expect(ask("describe").get("current") == current, "and nothing was changed by that")
    with concurrent.futures.ThreadPoolExecutor(4) as four:
        taken = list(four.map(lambda _: ask("rollback", key=key, **{"from": current}, **fields), range(4)))
    expect(any(one.get("state") == "begun" for one in taken), f"a rollback is taken: {taken}")
    ends = time.monotonic() + DONE_WITHIN
    state = {}
    while time.monotonic() < ends and state.get("state") not in ("done", "failed"):
        state = ask("status", key=key, **{"from": current, "to": to})
        if state.get("state") not in ("done", "failed"):
            time.sleep(1)
    expect(state.get("state") == "done", f"it is done: {state}")
    expect(ask("describe").get("current") == to, "and the target serves")
    again = ask("rollback", key=key, **{"from": current}, **fields)
    expect(again.get("state") == "begun", f"asked once more under its key it was begun: {again}")
    ours = [one for one in history() if one.get("key") == key]
    expect(len(ours) == 1, f"five questions under one key are one deployment, which bears it: {len(ours)}")


words = sys.argv[1:]
argv = words[words.index("--") + 1 :] if "--" in words else []
words = words[: words.index("--")] if "--" in words else words
service = words[0] if words else ""
url = words[words.index("--url") + 1] if "--url" in words else ""
to = words[words.index("--to") + 1] if "--to" in words else ""
variables = [words[nth + 1] for nth, word in enumerate(words) if word == "--env"]
if "@" not in service or bool(url) == bool(argv):
    sys.exit(__doc__)
serves = reads()
if to:
    goes_back(serves)
print(f"{len(wrong)} wrong" if wrong else "it keeps the contract")
sys.exit(1 if wrong else 0)
