#!/usr/bin/env python3
"""A deployer of your own in Python: docs/providers/own.md is the contract.

    own-deployer.py FOLDER                  one question on standard input, for a provider of kind `command`
    own-deployer.py FOLDER --listen PORT    over HTTP, for one of kind `http`; SNAPBACK_SECRET proves who asks

It keeps its state in one SQLite file in FOLDER. Put what really deploys into `put_out`.
"""

import datetime
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import sqlite3
import sys
import time

# How far the clocks of two machines may differ.
SKEW = 300


class Deployer:
    def __init__(self, folder):
        self.store = sqlite3.connect(pathlib.Path(folder) / "deployer.db", timeout=10, isolation_level=None)
        self.store.execute(
            "CREATE TABLE IF NOT EXISTS deployments"
            " (id INTEGER PRIMARY KEY, service TEXT, release TEXT, started_at TEXT, finished_at TEXT, status TEXT, key TEXT UNIQUE, pid INTEGER)"
        )
        # Whose process is gone has not ended well: nobody goes on with it.
        going_out = self.store.execute("SELECT id, pid FROM deployments WHERE status = 'going_out'").fetchall()
        for row in [row for row in going_out if not is_alive(row[1])]:
            self.store.execute(
                "UPDATE deployments SET status = 'failed', finished_at = ? WHERE id = ? AND status = 'going_out'", (now(), row[0])
            )

    def put_out(self, service, release):
        """Whatever deploys."""

    def answer(self, question):
        service = f"{question['service']}@{question['environment']}"
        match question["action"]:
            case "describe":
                return {"current": self.current(service), "in_flight": self.in_flight(service), "remembers": True}
            case "history":
                return {"deployments": self.history(service)}
            case "rollback":
                return self.rollback(service, question)
            case "status":
                return self.status(question["key"])
        raise ValueError("there is no such action")

    def current(self, service):
        row = self.store.execute(
            "SELECT release FROM deployments WHERE service = ? AND status = 'finished' ORDER BY id DESC LIMIT 1", (service,)
        ).fetchone()
        return row and row[0]

    def in_flight(self, service):
        row = self.store.execute(
            "SELECT id FROM deployments WHERE service = ? AND status = 'going_out' ORDER BY id DESC LIMIT 1", (service,)
        ).fetchone()
        return row and str(row[0])

    def going_out(self, service):
        row = self.store.execute(
            "SELECT release FROM deployments WHERE service = ? AND status = 'going_out' ORDER BY id DESC LIMIT 1", (service,)
        ).fetchone()
        return row and row[0]

    def history(self, service):
        rows = self.store.execute(
            "SELECT id, release, started_at, finished_at, status, key FROM deployments WHERE service = ? ORDER BY id DESC LIMIT 100",
            (service,),
        )
        names = ("deployment", "release", "started_at", "finished_at", "status", "key")
        return [dict(zip(names, (str(row[0]), *row[1:])), version=row[1], exists=True) for row in rows]

    def rollback(self, service, question):
        # One transaction that writes looks and begins: nobody comes between, and a key is taken once.
        self.store.execute("BEGIN IMMEDIATE")
        try:
            if self.status(question["key"])["state"] != "unknown":
                return {"state": "begun", "says": "begun before"}
            if now() > question.get("deadline", "9999"):
                return {"state": "busy", "says": "it came too late"}
            if question["from"] != self.going_out(service) and question["from"] != self.current(service):
                return {"state": "moved", "says": f"{self.current(service)} serves"}
            self.store.execute(
                "INSERT INTO deployments (service, release, started_at, status, key, pid) VALUES (?, ?, ?, 'going_out', ?, ?)",
                (service, question["to"], now(), question["key"], os.getpid()),
            )
        finally:
            self.store.execute("COMMIT")
        try:
            self.put_out(service, question["to"])
            status = "finished"
        except Exception as error:
            print(error, file=sys.stderr)
            status = "failed"
        self.store.execute(
            "UPDATE deployments SET status = ?, finished_at = ? WHERE key = ?", (status, now(), question["key"])
        )
        return {"state": "begun"}

    def status(self, key):
        row = self.store.execute("SELECT status FROM deployments WHERE key = ?", (key,)).fetchone()
        states = {"going_out": "running", "finished": "done", "failed": "failed"}
        return {"state": states[row[0]] if row else "unknown"}


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except (OSError, TypeError):
        return False
    return True


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def is_proven(secret, headers, body):
    at, shown = headers.get("x-snapback-timestamp", ""), headers.get("x-snapback-signature", "")
    signed = hmac.new(secret.encode(), b"v1:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    fresh = at.isdigit() and abs(time.time() - int(at)) < SKEW
    return fresh and hmac.compare_digest(shown, "v1=" + signed)


def listen(folder, port):
    secret = os.environ["SNAPBACK_SECRET"]

    class Door(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(min(int(self.headers.get("content-length", 0)), 1 << 20))
            if not is_proven(secret, self.headers, body):
                return self.says(401, {"message": "the signature is not right"})
            try:
                return self.says(200, Deployer(folder).answer(json.loads(body)))
            except (ValueError, KeyError) as error:
                return self.says(400, {"message": str(error)})

        def says(self, status, answer):
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Door)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def main():
    folder = sys.argv[1]
    if "--listen" in sys.argv:
        return listen(folder, int(sys.argv[sys.argv.index("--listen") + 1]))
    try:
        print(json.dumps(Deployer(folder).answer(json.load(sys.stdin))))
    except (ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        sys.exit(64)


if __name__ == "__main__":
    main()
