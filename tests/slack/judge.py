"""A third party's opinion on the pretend Slack workspace and on what Snapback posts: Slack's own library for Python.

  judge.py drive URL TOKEN CHANNEL GROUP USER   drives the workspace as a client does, and checks what it answers
  judge.py blocks FILE                          checks the blocks of every message in a file of JSON lines
  judge.py verify FILE                          verifies the signatures of requests in a file of JSON lines
  judge.py sign FILE                            signs requests in a file of JSON lines, and prints a signature a line
  judge.py respond URL                          answers to a response_url until it is used up
  judge.py compare URL TOKEN CHANNEL URL TOKEN CHANNEL
                                                the same calls to two workspaces, and where their answers differ in shape
"""

import json
import logging
import sys
import warnings

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackObjectFormationError
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.metadata import Metadata
from slack_sdk.signature import SignatureVerifier
from slack_sdk.webhook import WebhookClient

# Where a text is left out, that is what is tried.
warnings.filterwarnings("ignore", message="The top-level `text` argument")

# Blocks of one message; the library knows the limits below that.
BLOCKS_MAX = 50
# Characters of the text that stands beside the blocks, where it is still shown whole.
TEXT_MAX = 4000


def lines(file):
    with open(file, encoding="utf-8") as read:
        return [json.loads(line) for line in read if line.strip()]


def client(url, token):
    # Nothing is tried again: what the workspace does once is what counts.
    return WebClient(token=token, base_url=url.rstrip("/") + "/", retry_handlers=[], timeout=20)


def same(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: {found!r} instead of {expected!r}")


def refused(what, code, call):
    """What Slack would refuse is refused, with the code that Slack gives; gives the whole answer."""
    try:
        call()
    except SlackApiError as error:
        same(what, error.response["error"], code)
        return error.response
    raise SystemExit(f"{what}: it was taken")


# What the library does not read of itself: keys that it drops, kinds that it skips. It says so in its log.
class Complaints(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


COMPLAINTS = Complaints()
logging.getLogger("slack_sdk").addHandler(COMPLAINTS)


def faults(blocks):
    """Why the library does not take these blocks, or does not write them as they are."""
    found = []
    if len(blocks) > BLOCKS_MAX:
        found.append(f"{len(blocks)} blocks")
    for nth, (block, parsed) in enumerate(zip(blocks, Block.parse_all(blocks))):
        if parsed is None:
            found.append(f"block {nth}: unknown: {block}")
            continue
        try:
            parsed.validate_json()
            written = parsed.to_dict()
        except SlackObjectFormationError as error:
            found.append(f"block {nth}: {error}: {block}")
            continue
        if written != block:
            found.append(f"block {nth}: written as {written} instead of {block}")
    ids = [element["action_id"] for block in blocks for element in buttons(block) if "action_id" in element]
    found.extend(f"action_id {one} is there twice" for one in sorted(set(ids)) if ids.count(one) > 1)
    found.extend(COMPLAINTS.said)
    COMPLAINTS.said.clear()
    return found


def buttons(block):
    beside = [block["accessory"]] if "accessory" in block else []
    elements = [one for one in block.get("elements", []) if isinstance(one, dict)]
    return [one for one in elements + beside if one.get("type") == "button"]


def judge_blocks(file):
    found, judged = [], 0
    for posted in lines(file):
        blocks = posted.get("blocks") or []
        judged += 1
        where = f"{posted.get('what')} {posted.get('ts')}"
        found.extend(f"{where}: {fault}" for fault in faults(blocks))
        if len(posted.get("text") or "") > TEXT_MAX:
            found.append(f"{where}: a text of {len(posted['text'])} characters")
        if blocks and not posted.get("text"):
            found.append(f"{where}: blocks without a text for notifications and for screen readers")
    if found:
        raise SystemExit("\n".join(found))
    print(f"{judged} messages are as slack_sdk says")


class At:
    """The clock of whoever verifies."""

    def __init__(self, seconds):
        self.seconds = seconds

    def now(self):
        return self.seconds


def verify(file):
    asked = lines(file)
    for request in asked:
        at = At(request.get("now", int(request["timestamp"])))
        verifier = SignatureVerifier(request["secret"], clock=at)
        headers = {"X-Slack-Request-Timestamp": request["timestamp"]}
        if request.get("signature") is not None:
            headers["X-Slack-Signature"] = request["signature"]
        found = verifier.is_valid_request(request["body"], headers)
        same(f"{request['name']} is well signed", found, request["good"])
    print(f"{len(asked)} signatures are as slack_sdk says")


def sign(file):
    for request in lines(file):
        verifier = SignatureVerifier(request["secret"])
        print(verifier.generate_signature(timestamp=request["timestamp"], body=request["body"]))


def question():
    """A message such as Snapback posts, built by the library."""
    sure = ConfirmObject(title="Roll back?", text=MarkdownTextObject(text="*checkout*"), confirm="Yes", deny="No")
    return [
        HeaderBlock(text="checkout in production"),
        SectionBlock(text=MarkdownTextObject(text="From `1.42.0` to `1.41.0`, says <@U0001ANA> &amp; others")),
        SectionBlock(fields=[MarkdownTextObject(text="*Rule*"), PlainTextObject(text="errors")]),
        DividerBlock(),
        ActionsBlock(
            elements=[
                ButtonElement(text="Roll back", action_id="rollback", value="case-1", style="danger", confirm=sure),
                ButtonElement(text="Cancel", action_id="cancel", value="case-1"),
            ]
        ),
        ContextBlock(elements=[MarkdownTextObject(text="until <!date^1772442845^{time}|09:14 UTC>")]),
    ]


def drive(url, token, channel, group, user):
    slack = client(url, token)
    drive_posts(slack, channel)
    drive_refusals(slack, channel)
    drive_reading(slack, channel)
    drive_people(slack, channel, group, user)
    refused("another's token", "invalid_auth", lambda: client(url, "xoxb-another").auth_test())
    refused("no token", "not_authed", lambda: client(url, None).auth_test())
    print("the workspace is as slack_sdk says")


def drive_posts(slack, channel):
    who = slack.auth_test()
    same("the workspace's address", who["url"], "https://acme.slack.com/")
    assert who["team_id"].startswith("T") and who["bot_id"].startswith("B"), who.data
    assert "chat:write" in who.headers["x-oauth-scopes"], who.headers

    root = slack.chat_postMessage(
        channel="#deploys",
        text="Roll back checkout?",
        blocks=question(),
        metadata=Metadata(event_type="snapback", event_payload={"mark": "case-1/root"}),
    )
    same("the channel is told by id", root["channel"], channel)
    assert isinstance(root["ts"], str) and root["ts"].endswith("00") and len(root["ts"].split(".")[1]) == 6, root["ts"]
    same("blocks come back as the library reads them", faults(root["message"]["blocks"]), [])
    reply = slack.chat_postMessage(channel=channel, thread_ts=root["ts"], text="Asked @sre")
    assert reply["ts"] > root["ts"]
    same("a reply knows its root", reply["message"]["thread_ts"], root["ts"])

    changed = slack.chat_update(channel=channel, ts=root["ts"], text="Rolling back", blocks=question()[:2])
    same("a change keeps its ts", changed["ts"], root["ts"])
    same("two blocks are left", len(changed["message"]["blocks"]), 2)
    changed = slack.chat_update(channel=channel, ts=root["ts"], text="Rolled back")
    assert "blocks" not in changed["message"], "a text without blocks takes the blocks away"
    assert changed["message"]["edited"]["user"] == who["user_id"], changed.data

    link = slack.chat_getPermalink(channel=channel, message_ts=reply["ts"])["permalink"]
    same("a link", link.split("?")[0], f"https://acme.slack.com/archives/{channel}/p{reply['ts'].replace('.', '')}")


def drive_refusals(slack, channel):
    refused("an unknown channel", "channel_not_found", lambda: slack.chat_postMessage(channel="#nowhere", text="x"))
    refused("nothing to say", "no_text", lambda: slack.chat_postMessage(channel=channel))
    refused("too long a text", "msg_too_long", lambda: slack.chat_postMessage(channel=channel, text="x" * 40001))
    refused("a reply to nothing", "thread_not_found", lambda: slack.chat_postMessage(channel=channel, text="x", thread_ts="1.000001"))
    refused("a change of nothing", "message_not_found", lambda: slack.chat_update(channel=channel, ts="1.000001", text="x"))
    refused("a change by name", "channel_not_found", lambda: slack.chat_update(channel="#deploys", ts="1.000001", text="x"))
    refused("an unknown method", "unknown_method", lambda: slack.api_call("chat.sing"))
    wrong = refused(
        "too long a section",
        "invalid_blocks",
        lambda: slack.chat_postMessage(
            channel=channel, text="x", blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
        ),
    )
    same(
        "where it is",
        wrong["response_metadata"]["messages"],
        ["[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"],
    )


def drive_reading(slack, channel):
    root = slack.chat_postMessage(
        channel=channel, text="one", metadata={"event_type": "snapback", "event_payload": {"mark": "m0"}}
    )
    for nth in range(1, 6):
        marked = {"event_type": "snapback", "event_payload": {"mark": f"m{nth}"}}
        slack.chat_postMessage(channel=channel, text=f"reply {nth}", thread_ts=root["ts"], metadata=marked)
    read, cursor = [], None
    while cursor is None or cursor:
        page = slack.conversations_replies(
            channel=channel, ts=root["ts"], limit=2, cursor=cursor or "", include_all_metadata=True
        )
        same("the root comes first", page["messages"][0]["ts"], root["ts"])
        read.extend(page["messages"][1:])
        cursor = page.get("response_metadata", {}).get("next_cursor", "")
        same("there is more where there is a cursor", page["has_more"], bool(cursor))
    same("every reply, by its mark", [one["metadata"]["event_payload"]["mark"] for one in read], [f"m{n}" for n in range(1, 6)])
    plain = slack.conversations_replies(channel=channel, ts=root["ts"])
    assert all("metadata" not in one for one in plain["messages"]), "metadata comes only to whoever asks"
    same("the root counts its replies", plain["messages"][0]["reply_count"], 5)
    later = slack.conversations_replies(channel=channel, ts=root["ts"], oldest=read[2]["ts"])
    same("later than the third", [one["text"] for one in later["messages"][1:]], ["reply 4", "reply 5"])
    here = slack.conversations_history(channel=channel, limit=1, include_all_metadata=True)
    same("the newest root", here["messages"][0]["ts"], root["ts"])
    same("its mark", here["messages"][0]["metadata"]["event_payload"], {"mark": "m0"})
    since = slack.conversations_history(channel=channel, oldest=root["ts"], inclusive=True)
    same("that root alone, for replies are not in the channel", [one["ts"] for one in since["messages"]], [root["ts"]])
    refused("an unknown thread", "thread_not_found", lambda: slack.conversations_replies(channel=channel, ts="1.000001"))


def drive_people(slack, channel, group, user):
    members = slack.usergroups_users_list(usergroup=group)["users"]
    assert user in members, members
    refused("an unknown group", "no_such_subteam", lambda: slack.usergroups_users_list(usergroup="S9NONE"))
    listed = slack.usergroups_list(include_users=True)["usergroups"]
    same("the groups' members", [one["users"] for one in listed if one["id"] == group], [members])
    one = slack.users_info(user=user)["user"]
    for name in ("deleted", "is_bot", "is_restricted", "is_ultra_restricted"):
        same(name, one[name], False)
    assert one["team_id"].startswith("T") and "is_stranger" not in one, one
    refused("an unknown person", "user_not_found", lambda: slack.users_info(user="U9NONE"))
    people = [person["id"] for page in slack.users_list(limit=1) for person in page["members"]]
    assert user in people and len(set(people)) == len(people), people
    channels = slack.conversations_list(types="public_channel,private_channel")["channels"]
    assert [one["name"] for one in channels if one["id"] == channel] == ["deploys"], channels
    seen = slack.chat_postEphemeral(channel=channel, user=user, text="only you")
    assert isinstance(seen["message_ts"], str), seen.data
    refused("a whisper to nobody", "user_not_in_channel", lambda: slack.chat_postEphemeral(channel=channel, user="U9NONE", text="x"))


def respond(url):
    hook = WebhookClient(url)
    answers = [hook.send(text=f"answer {nth}", replace_original=nth > 1) for nth in range(1, 7)]
    same("five uses", [(one.status_code, json.loads(one.body)["ok"]) for one in answers[:5]], [(200, True)] * 5)
    same("and no sixth", (answers[5].status_code, json.loads(answers[5].body)["error"]), (404, "used_url"))
    print("the response_url is as slack_sdk says")


def shape(value):
    """What an answer is made of: its names, and the kinds of what they hold."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def conversation(slack, channel):
    """The same calls of threads and changes; what each answers."""
    mark = {"event_type": "snapback", "event_payload": {"mark": "m"}}
    text = [{"type": "section", "block_id": "s", "text": {"type": "mrkdwn", "text": "hello", "verbatim": False}}]

    # By form: not every pretend workspace takes a query there.
    def read(method, **asked):
        return slack.api_call(method, params={"channel": channel, **asked}).data

    root = slack.chat_postMessage(channel=channel, text="root", blocks=text, metadata=mark)
    reply = slack.chat_postMessage(channel=channel, text="reply", thread_ts=root["ts"])
    answers = {
        "auth.test": slack.auth_test().data,
        "chat.postMessage": root.data,
        "chat.postMessage, a reply": reply.data,
        "chat.update": slack.chat_update(channel=channel, ts=root["ts"], text="changed", blocks=text).data,
        "chat.update, text alone": slack.chat_update(channel=channel, ts=root["ts"], text="again").data,
        "conversations.replies": read("conversations.replies", ts=root["ts"]),
        "conversations.replies, metadata": read("conversations.replies", ts=root["ts"], include_all_metadata="true"),
        "conversations.history": read("conversations.history", limit="1"),
        "chat.getPermalink": slack.chat_getPermalink(channel=channel, message_ts=root["ts"]).data,
    }
    calls = {
        "no such channel": lambda: slack.chat_postMessage(channel="C9NONE", text="x"),
        "no text": lambda: slack.chat_postMessage(channel=channel),
        "no such message": lambda: slack.chat_update(channel=channel, ts="1.000001", text="x"),
        "no such thread": lambda: read("conversations.replies", ts="1.000001"),
    }
    for name, call in calls.items():
        try:
            call()
            answers[name] = {"taken": True}
        except SlackApiError as error:
            answers[name] = {"refused": error.response["error"]}
    return answers


def differences(path, one, other):
    """Where two shapes differ: a name that only one has, or a kind that both have otherwise."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            if name not in one or name not in other:
                yield f"{path}.{name}: only {'the other' if name not in one else 'this one'} has it"
            else:
                yield from differences(f"{path}.{name}", one[name], other[name])
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield f"{path}: {len(one)} here, {len(other)} there"
        for nth, (mine, theirs) in enumerate(zip(one, other)):
            yield from differences(f"{path}[{nth}]", mine, theirs)
    elif one != other:
        yield f"{path}: {one} here, {other} there"


def compare(url, token, channel, other_url, other_token, other_channel):
    ours = conversation(client(url, token), channel)
    theirs = conversation(client(other_url, other_token), other_channel)
    for call in ours:
        plain = "refused" in ours[call] or "refused" in theirs[call] or "taken" in ours[call]
        one, other = (ours[call], theirs[call]) if plain else (shape(ours[call]), shape(theirs[call]))
        for difference in differences(call, one, other):
            print(difference)
    for said, call in ((ours, "chat.update, text alone"), (theirs, "chat.update, text alone")):
        print(f"blocks after a text alone: {'blocks' in said[call]['message'] and bool(said[call]['message']['blocks'])}")
    print(f"{len(ours)} calls were compared")


if __name__ == "__main__":
    judges = {
        "drive": drive,
        "blocks": judge_blocks,
        "verify": verify,
        "sign": sign,
        "respond": respond,
        "compare": compare,
    }
    judges[sys.argv[1]](*sys.argv[2:])
