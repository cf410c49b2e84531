"""C2SP signed-note, tlog-checkpoint and tlog-cosignature v1, as docs/formats.md section 8 uses
them."""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

import ed25519

LOG, COSIGNER = 1, 4
# White space of Unicode (property White_Space).
WHITE_SPACE = frozenset(
    map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
              0x202F, 0x205F, 0x3000]))
NOTE_LENGTH_MAX = 1_048_576  # bytes
SIGNATURES_MAX = 100


class Malformed(Exception):
    """Bytes that break the form of a note, a key or a policy; the message says which rule."""


def unbase64(text):
    """The bytes of RFC 4648 section 4, padded, in their one encoding; raises Malformed."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Malformed("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Malformed("not canonical base64")
    return data


def is_key_name(name):
    return name != "" and not any(c in WHITE_SPACE or c == "+" or c < " " for c in name)


@dataclass(frozen=True)
class Key:
    """A verifier key: its name, its type (LOG or COSIGNER) and the public key of 32 bytes."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self):
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self):
        material = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{material}"

    @classmethod
    def parse(cls, text, kind):
        """The key of a `vkey` of this type; raises Malformed."""
        parts = text.split("+", 2)
        if len(parts) != 3 or not is_key_name(parts[0]):
            raise Malformed("not a verifier key")
        material = unbase64(parts[2])
        key = cls(parts[0], kind, material[1:])
        if len(material) != 33 or material[0] != kind or str(key) != text:
            raise Malformed("not a verifier key of this type")
        if not ed25519.is_usable_key(key.public):
            raise Malformed("a key that is not canonical or of small order")
        return key


@dataclass
class Checkpoint:
    """A checkpoint with its signatures; `text` is what they sign."""

    text: bytes
    origin: str
    size: int
    root: bytes
    signatures: list  # of (key name, key id, bytes)


def parse(data):
    """The checkpoint of a signed note; raises Malformed. Nothing is verified yet."""
    if len(data) > NOTE_LENGTH_MAX:
        raise Malformed(f"longer than {NOTE_LENGTH_MAX} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    if any(c < " " and c != "\n" for c in whole):
        raise Malformed("a control character")
    text, middle, lines = whole.rpartition("\n\n")
    if not middle or not lines.endswith("\n"):
        raise Malformed("not a signed note")
    text += "\n"
    lines = lines[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise Malformed("too many signatures")
    signatures = []
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or not is_key_name(parts[1]):
            raise Malformed("not a signature line")
        blob = unbase64(parts[2])
        if len(blob) < 5:
            raise Malformed("a signature too short")
        signatures.append((parts[1], blob[:4], blob[4:]))
    body = text[:-1].split("\n")
    if len(body) < 3 or "" in body:
        raise Malformed("not a checkpoint")
    size, root = body[1], unbase64(body[2])
    if not (size.isascii() and size.isdigit()) or len(size) > 20 or str(int(size)) != size:
        raise Malformed("not a size")
    if len(root) != 32 or int(size) >= 2**64:
        raise Malformed("not a size and root")
    return Checkpoint(text.encode(), body[0], int(size), root, signatures)


def check_signatures(checkpoint, policy):
    """The messages of what is wrong, and the time in unix seconds of the cosignature of each
    cosigner key of the policy that cosigned. Whether these are a quorum is for the caller."""
    wrong, times, is_logged = [], {}, False
    if checkpoint.origin != policy.origin:
        wrong.append(f"the origin is {checkpoint.origin}, and the policy's is {policy.origin}")
    keys = {(key.name, key.id): key for key in policy.keys}
    for name, key_id, signature in checkpoint.signatures:
        key = keys.get((name, key_id))
        if key is None:
            continue
        time = None
        if key.kind == LOG:
            good = ed25519.verify(key.public, checkpoint.text, signature)
        else:
            time = int.from_bytes(signature[:8], "big")
            message = b"cosignature/v1\ntime %d\n" % time + checkpoint.text
            good = len(signature) == 72 and time < 2**63
            good = good and ed25519.verify(key.public, message, signature[8:])
        if not good:
            wrong.append(f"a signature by {name} does not verify")
        elif key.kind == LOG:
            is_logged = True
        else:
            # Of a key that signs twice the first signature counts.
            times.setdefault(key, time)
    if not is_logged:
        wrong.append("no log key of the policy signed")
    return wrong, times
