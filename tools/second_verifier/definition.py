"""The rules of a definition and of a reason: docs/formats.md, section 6."""

import unicodedata

import ed25519
from leaves import compact
from note import WHITE_SPACE

LENGTH_MAX = 65_000  # bytes of the canonical compact JSON


def _set(*ranges):
    return frozenset(
        chr(c) for first, last in ranges for c in range(first, last + 1))


def _one(*codes):
    return _set(*((code, code) for code in codes))


FORBIDDEN = _set((0, 0x1F), (0x7F, 0x9F), (0x202A, 0x202E), (0x2066, 0x2069)) | _one(
    0x2028, 0x2029, 0x061C, 0x200E, 0x200F, 0xFEFF)
NO_WIDTH = _set((0x200B, 0x200D), (0x2060, 0x2064)) | _one(
    0xAD, 0x34F, 0x115F, 0x1160, 0x180E, 0x2800, 0x3164, 0xFFA0)
BLANK = WHITE_SPACE | NO_WIDTH


def is_text(text, low, high):
    """Whether a text has `low` to `high` characters and shows what it says."""
    if not low <= len(text) <= high or FORBIDDEN & set(text):
        return False
    return text == "" or not set(text) <= BLANK


def is_reason(text):
    """Whether a text is a reason of a `closing` or `annulled` leaf."""
    return is_text(text, 1, 500)


def _as_seen(label):
    return unicodedata.normalize("NFC", label.strip("".join(BLANK)))


def faults(definition):
    """What is wrong with the definition of a leaf that was parsed, as a list of messages."""
    wrong = []

    def rule(holds, message):
        if not holds:
            wrong.append(message)

    choices = definition["choices"]
    rule(2 <= len(choices) <= 100, f"{len(choices)} choices")
    rule(len({choice["id"] for choice in choices}) == len(choices), "an id stands twice")
    for language in ("fr", "en"):
        rule(is_text(definition["title"][language], 1, 500), f"title {language}")
        rule(is_text(definition["description"][language], 0, 2000), f"description {language}")
        labels = [choice[language] for choice in choices]
        rule(all(is_text(label, 1, 100) for label in labels), f"a label {language}")
        rule(len(set(map(_as_seen, labels))) == len(labels), f"a label {language} stands twice")
    opens, closes = definition["opens"], definition["closes"]
    rule(opens is None or closes is None or opens < closes, "it closes before it opens")
    rule(definition["publish_every"] >= 1, "publish_every")
    rule(len(compact(definition)) <= LENGTH_MAX, "too long")
    key = bytes.fromhex(definition["ballot_key"])
    rule(not ed25519.x25519_of_small_order(key), "a ballot key of small order")
    return wrong
