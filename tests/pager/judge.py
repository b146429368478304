"""PagerDuty's own client against the pretend Events API, and the events that Snapback sent, sent again by it.

    judge.py drive URL KEY          the client's own calls, and what it makes of the answers
    judge.py resend URL KEY FILE    every event of the file, as the client sends events
"""

import json
import sys

import pagerduty


def client(url, key):
    made = pagerduty.EventsApiV2Client(key)
    # It speaks to nothing but TLS, and the pretend service is on this machine.
    made._url = url
    made.retry = {}
    return made


def drive(url, key):
    events = client(url, key)
    known = events.trigger("checkout is slow", "checkout@production", dedup_key="third/1", severity="error",
                           custom_details={"why": ["p99"]}, links=[{"href": "https://example.com/", "text": "a"}])
    assert known == "third/1", known
    assert events.trigger("checkout is slow", "checkout@production", dedup_key="third/1") == "third/1"
    assert events.acknowledge("third/1") == "third/1"
    assert events.resolve("third/1") == "third/1"
    assert events.resolve("third/unknown") == "third/unknown"
    for wrong in [lambda: client(url, "f" * 32).trigger("a", "b", dedup_key="third/2"),
                  lambda: events.trigger("a", "b", dedup_key="third/2", severity="loud"),
                  lambda: events.trigger("", "b", dedup_key="third/2"),
                  lambda: events.trigger("a", "b", dedup_key="k" * 256),
                  lambda: events.trigger("a" * 1025, "b", dedup_key="third/2")]:
        try:
            wrong()
        except pagerduty.HttpError as refused:
            assert refused.response.status_code == 400, refused.response.status_code
        else:
            raise AssertionError("it was taken")
    print("the pretend service answers as the client expects")


def resend(url, key, path):
    events = client(url, key)
    with open(path) as file:
        sent = json.load(file)
    assert sent, "nothing was sent"
    for event in sent:
        assert event.pop("routing_key") == key
        action, known = event.pop("event_action"), event.pop("dedup_key")
        assert events.send_event(action, dedup_key=known, **event) == known
    print(f"{len(sent)} events are events of the client")


{"drive": drive, "resend": resend}[sys.argv[1]](*sys.argv[2:])
