"""A second implementation of how senders sign, beside ours: signs a body, or says whether a signature is right.

Reads one JSON object from standard input: scheme, secret, body (text), time (seconds, for `grafana`), and, to have it
checked, headers. Prints the headers, or `true` or `false`.
"""

import hashlib
import hmac
import json
import sys

asked = json.load(sys.stdin)
secret, body = asked["secret"].encode(), asked["body"].encode()


def mac(signed):
    return hmac.new(secret, signed, hashlib.sha256).hexdigest()


def headers(time):
    if asked["scheme"] == "pagerduty":
        return {"X-PagerDuty-Signature": "v1=" + mac(body)}
    if asked["scheme"] == "github":
        return {"X-Hub-Signature-256": "sha256=" + mac(body)}
    if asked["scheme"] == "grafana":
        timed = f"{time}:".encode() + body
        return {"X-Grafana-Alerting-Signature": mac(timed), "X-Grafana-Alerting-Timestamp": str(time)}
    raise SystemExit(f"no scheme {asked['scheme']}")


shown = asked.get("headers")
if shown is None:
    print(json.dumps(headers(asked["time"])))
else:
    expected = headers(shown.get("X-Grafana-Alerting-Timestamp"))
    right = all(hmac.compare_digest(shown[name], value) for name, value in expected.items())
    print(json.dumps(right))
