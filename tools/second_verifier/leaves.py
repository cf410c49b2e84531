"""The form of each leaf: docs/formats.md, section 6. A leaf is read if and only if its bytes are
the canonical compact JSON of one of these shapes, with every value in its range."""

import json
import re

INTEGER_MAX = 2**53 - 1
MINUTE_MIN, MINUTE_MAX = 15_778_080, 4_223_371_679
ATTEMPT_MAX = 2**30 - 1
LEAF_LENGTH_MAX = 65_535  # bytes
LAW_ID = re.compile(r"[A-Za-z0-9._-]{1,50}")
CHOICE_ID = re.compile(r"[a-z0-9._-]{1,50}")

# Shapes: functions that say whether a value of parsed JSON has a form. The first ones make such a
# function: of integers from `low` to `high`, of `length` bytes in hexadecimal, of some texts,
# of null or a shape, of lists of a shape, of objects with these keys in this order, of one of some
# shapes.


def integer(low, high=INTEGER_MAX):
    return lambda value: type(value) is int and low <= value <= high


def hexadecimal(length):
    pattern = re.compile(f"[0-9a-f]{{{2 * length}}}")
    return lambda value: type(value) is str and pattern.fullmatch(value) is not None


def one_of(*values):
    return lambda value: type(value) is str and value in values


def maybe(shape):
    return lambda value: value is None or shape(value)


def list_of(shape):
    return lambda value: type(value) is list and all(map(shape, value))


def table(**shapes):
    keys = list(shapes)
    return lambda value: (
        type(value) is dict
        and list(value) == keys
        and all(shape(value[key]) for key, shape in shapes.items())
    )


def either(*shapes):
    return lambda value: any(shape(value) for shape in shapes)


def text(value):
    return type(value) is str


def boolean(value):
    return type(value) is bool


def law_id(value):
    return text(value) and LAW_ID.fullmatch(value) is not None and value not in (".", "..")


def choice_id(value):
    return text(value) and CHOICE_ID.fullmatch(value) is not None


count = integer(0)
minute = integer(MINUTE_MIN, MINUTE_MAX)
epoch = integer(1, 2**32 - 1)
both = table(fr=text, en=text)
report = table(received=count, accepted=count, duplicate=count, invalid=count, replayed=count)
definition = table(
    law_id=law_id,
    title=both,
    description=both,
    choices=list_of(table(id=choice_id, fr=text, en=text)),
    binding=boolean,
    results=one_of("live", "after_vote", "after_close"),
    publish_every=count,
    opens=maybe(minute),
    closes=maybe(minute),
    ballot_key=hexadecimal(32),
)

SHAPES = {
    ("election", "draft"): dict(at=minute, definition=definition),
    ("election", "amended"): dict(at=minute, definition=definition),
    ("election", "open"): dict(
        at=minute, opens=minute, closes=maybe(minute), registered=count, waivers=list_of(text),
        zero_report=report),
    ("election", "closing"): dict(at=minute, closes=minute, reason=maybe(text)),
    ("election", "closed"): dict(at=minute, registered=count, report=report),
    ("election", "certified"): dict(at=minute, results=hexadecimal(32)),
    ("election", "annulled"): dict(at=minute, reason=text),
    ("election", "purged"): dict(at=minute),
    ("roll", None): dict(
        manifest=hexadecimal(32), parent=maybe(hexadecimal(32)), replaces=maybe(hexadecimal(32)),
        scheme=one_of("sha256", "hmac-sha256"), loaded=count, added=count, revoked=count,
        refused=count),
    ("node", "admitted"): dict(node=hexadecimal(8), key=hexadecimal(32)),
    ("node", "retired"): dict(node=hexadecimal(8), epoch=epoch, through=count, confirmed=count),
    ("batch", None): dict(
        node=hexadecimal(8), epoch=epoch, sequence=integer(1), confirmed=count, last=boolean,
        count=integer(0, 65_536), envelopes=hexadecimal(32), digest=hexadecimal(32),
        signature=hexadecimal(64)),
    ("entry", "accepted"): dict(hash=hexadecimal(32), minute=minute),
    ("entry", "duplicate"): dict(
        hash=hexadecimal(32), attempt=integer(2, ATTEMPT_MAX), minute=minute),
    ("entry", "invalid"): dict(
        reason=one_of("unknown", "revoked", "early", "late", "clash"), envelope=hexadecimal(32),
        minute=minute),
    ("replay", None): dict(request=hexadecimal(16), envelope=hexadecimal(32)),
    ("counts", None): dict(commitments=list_of(hexadecimal(32))),
    ("totals", None): dict(
        through=integer(1), values=list_of(count), blindings=list_of(hexadecimal(32))),
    ("block", None): dict(height=integer(1), term=integer(1), leader=text, sealed_at=minute),
}
# The keys in front of the members above.
HEADS = {
    "election": dict(leaf=text, state=text),
    "node": dict(leaf=text, event=text),
    "entry": dict(leaf=text, request=hexadecimal(16), decision=text),
}
KINDS = {
    kind: table(**HEADS.get(kind[0], dict(leaf=text)), **members)
    for kind, members in SHAPES.items()
}

# The only member that is left out where it does not apply.
KINDS["election", "certified"] = either(
    KINDS["election", "certified"],
    table(**HEADS["election"], **SHAPES["election", "certified"], witness_waiver=text))


def compact(value):
    """Canonical compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def pretty(value):
    """Pretty-printed JSON, with its final line feed."""
    return json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8") + b"\n"


def read_json(data, canonical):
    """The value of these bytes, or None if they are not its canonical form."""
    try:
        value = json.loads(data.decode("utf-8"))
        return value if canonical(value) == data else None
    except (ValueError, RecursionError):
        return None


def parse(data):
    """The leaf as a dictionary, or None if these bytes are not a leaf."""
    leaf = read_json(data, compact) if len(data) <= LEAF_LENGTH_MAX else None
    if type(leaf) is not dict or type(leaf.get("leaf")) is not str:
        return None
    kind = leaf["leaf"]
    member = {"election": "state", "node": "event", "entry": "decision"}.get(kind)
    variant = leaf.get(member) if member else None
    if variant is not None and type(variant) is not str:
        return None
    shape = KINDS.get((kind, variant))
    if shape is None or not shape(leaf):
        return None
    # The one range that depends on another member.
    if kind == "batch" and leaf["confirmed"] >= leaf["sequence"]:
        return None
    return leaf
