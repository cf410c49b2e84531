"""The policy of an election: C2SP tlog-policy in the one form of docs/formats.md section 8."""

from dataclasses import dataclass

from note import COSIGNER, LOG, Key, Malformed, is_key_name

AUTHORITIES_MAX = 256
POLICY_LENGTH_MAX = 262_144  # bytes


@dataclass
class Policy:
    """A policy; its bytes are `bytes(policy)`."""

    logs: list  # of Key
    witnesses: dict  # name of the authority -> Key
    origin: str
    base: str

    @property
    def majority(self):
        return len(self.witnesses) // 2 + 1

    def __bytes__(self):
        lines = [f"log {key}" for key in self.logs]
        lines += [f"witness {name} {key}" for name, key in self.witnesses.items()]
        lines.append(f"group authorities {self.majority} {' '.join(self.witnesses)}")
        lines.append("quorum authorities")
        return "".join(line + "\n" for line in lines).encode()


def parse(data):
    """The policy of these bytes; raises Malformed."""
    if len(data) > POLICY_LENGTH_MAX:
        raise Malformed(f"longer than {POLICY_LENGTH_MAX} bytes")
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    logs = [Key.parse(line[4:], LOG) for line in lines if line.startswith("log ")]
    witnesses = _parse_witnesses(lines)
    if not logs or len(logs) != len(witnesses) or len(logs) > AUTHORITIES_MAX:
        raise Malformed("not one log key and one witness an authority")
    if len({key.name for key in logs}) != 1:
        raise Malformed("log keys of more than one origin")
    bases = {_base_of(name, key) for name, key in witnesses.items()}
    if len(bases) != 1:
        raise Malformed("cosigner keys of more than one base")
    publics = [key.public for key in [*logs, *witnesses.values()]]
    if len(set(publics)) != len(publics):
        raise Malformed("a public key stands twice")
    policy = Policy(logs, witnesses, logs[0].name, bases.pop())
    if policy.origin.rpartition("/")[0] not in (policy.base, f"{policy.base}/test"):
        raise Malformed("log keys and cosigner keys of different bases")
    if bytes(policy) != data:
        raise Malformed("not the canonical form")
    return policy


def _parse_witnesses(lines):
    witnesses = {}
    for line in lines:
        if not line.startswith("witness "):
            continue
        words = line.split(" ")
        if len(words) != 3 or not is_key_name(words[1]):
            raise Malformed("not a witness line")
        if words[1] in witnesses or words[1] in ("authorities", "none") or "\x7f" in words[1]:
            raise Malformed("the name of an authority is taken or cannot be used")
        witnesses[words[1]] = Key.parse(words[2], COSIGNER)
    return witnesses


def _base_of(name, key):
    base, found, rest = key.name.rpartition(f"/authority/{name}")
    if not found or rest:
        raise Malformed(f"the cosigner key of {name} is named {key.name}")
    return base
