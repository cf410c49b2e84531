"""The policy of an election: C2SP tlog-policy in the one form of docs/formats.md section 8."""

from dataclasses import dataclass

from note import COSIGNER, LOG, Key, Malformed, is_key_name

WITNESSES_MAX = 256  # authorities and outside witnesses together
POLICY_LENGTH_MAX = 262_144  # bytes


@dataclass
class Policy:
    """A policy; its bytes are `bytes(policy)`."""

    logs: list  # of Key
    authorities: dict  # name of the authority -> Key of its cosigner
    quorum: int  # of the authorities
    outside: dict  # name of the outside witness -> (Key, URL or None)
    outside_quorum: int  # 0 without outside witnesses
    origin: str
    base: str

    def __bytes__(self):
        lines = [f"log {key}" for key in self.logs]
        lines += [f"witness {name} {key}" for name, key in self.authorities.items()]
        for name, (key, url) in self.outside.items():
            lines.append(f"witness {name} {key}" + (f" {url}" if url else ""))
        lines.append(f"group authorities {self.quorum} {' '.join(self.authorities)}")
        if self.outside:
            lines.append(f"group witnesses {self.outside_quorum} {' '.join(self.outside)}")
            lines.append("group both all authorities witnesses")
        lines.append("quorum both" if self.outside else "quorum authorities")
        return "".join(line + "\n" for line in lines).encode()

    @property
    def keys(self):
        """Every key that may sign."""
        return [*self.logs, *self.authorities.values(), *(key for key, _ in self.outside.values())]

    def is_reached(self, cosigned, outside_waived=False):
        """Whether these cosigner keys are a quorum; of the authorities alone, if the log waives the
        outside witnesses."""
        own = sum(key in cosigned for key in self.authorities.values())
        outside = sum(key in cosigned for key, _ in self.outside.values())
        return own >= self.quorum and (outside_waived or outside >= self.outside_quorum)


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
    if not logs or len(logs) > len(witnesses) or len(witnesses) > WITNESSES_MAX:
        raise Malformed("not one log key and one witness an authority")
    if len({key.name for key in logs}) != 1:
        raise Malformed("log keys of more than one origin")
    rows = list(witnesses.items())
    own, outside = rows[:len(logs)], dict(rows[len(logs):])
    if any(url is not None for _, (_, url) in own):
        raise Malformed("an authority has no URL")
    authorities = {name: key for name, (key, _) in own}
    bases = {_base_of(name, key) for name, key in authorities.items()}
    if len(bases) != 1:
        raise Malformed("cosigner keys of more than one base")
    quorum = _threshold_of(lines, "authorities", len(authorities) // 2 + 1, len(authorities))
    outside_quorum = _threshold_of(lines, "witnesses", 1, len(outside)) if outside else 0
    policy = Policy(
        logs, authorities, quorum, outside, outside_quorum, logs[0].name, bases.pop())
    for distinct in (lambda key: key.public, lambda key: (key.name, key.id)):
        if len({distinct(key) for key in policy.keys}) != len(policy.keys):
            raise Malformed("a public key stands twice, or two keys have one name and id")
    if policy.origin.rpartition("/")[0] not in (policy.base, f"{policy.base}/test"):
        raise Malformed("log keys and cosigner keys of different bases")
    if bytes(policy) != data:
        raise Malformed("not the canonical form")
    return policy


def _parse_witnesses(lines):
    """Of every witness line: name -> (Key, URL or None), in their order."""
    has_outside = any(line.startswith("group witnesses ") for line in lines)
    taken = ("authorities", "none", "witnesses", "both") if has_outside else ("authorities", "none")
    witnesses = {}
    for line in lines:
        if not line.startswith("witness "):
            continue
        words = line.split(" ")
        if len(words) not in (3, 4) or not is_key_name(words[1]):
            raise Malformed("not a witness line")
        if words[1] in witnesses or words[1] in taken or "\x7f" in words[1]:
            raise Malformed("the name of a witness is taken or cannot be used")
        url = words[3] if len(words) == 4 else None
        if url is not None and (not url or any(not "!" <= c <= "~" for c in url)):
            raise Malformed("not the URL of a witness")
        witnesses[words[1]] = Key.parse(words[2], COSIGNER), url
    return witnesses


def _threshold_of(lines, group, least, most):
    found = [line.split(" ")[2] for line in lines if line.startswith(f"group {group} ")]
    if len(found) != 1 or found[0] not in map(str, range(least, most + 1)):
        raise Malformed(f"not one group {group}, of {least} to {most}")
    return int(found[0])


def _base_of(name, key):
    base, found, rest = key.name.rpartition(f"/authority/{name}")
    if not found or rest:
        raise Malformed(f"the cosigner key of {name} is named {key.name}")
    return base
