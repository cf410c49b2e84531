"""Manifests, shards and change files: docs/formats.md, sections 3 and 4."""

import datetime
import re
from hashlib import sha256

from leaves import (
    compact, count, hexadecimal, integer, law_id, list_of, maybe, one_of, pretty, read_json, table,
    text)

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ROW = table(
    file=text, law_id=law_id, shard=integer(1, 9_999), count=count, sha256=hexadecimal(32))
SHAPE = table(
    format=one_of("votekit-manifest/1"),
    tool=text,
    scheme=one_of("sha256", "hmac-sha256"),
    pepper=maybe(table(id=hexadecimal(8), check=hexadecimal(32))),
    date=maybe(text),
    parent=maybe(hexadecimal(32)),
    roll=table(
        sha256=hexadecimal(32), rows=count, duplicates=count, rejects=count,
        code_length_min=integer(0, 32)),
    laws=list_of(table(law_id=law_id, registered=count, shards=integer(0, 9_999), revoked=count)),
    shards=list_of(ROW),
    changes=list_of(ROW),
)
SHARD_KEYS_MAX = 1_000_000


def _is_day(day):
    if DAY.fullmatch(day) is None:
        return False
    try:
        datetime.date.fromisoformat(day)
    except ValueError:
        return False
    return True


def _rows_fit(manifest):
    """Rules 7 to 9 and 11: the rows of each law, in order, numbered, named and adding up."""
    supplement = manifest["parent"] is not None
    rows = list(manifest["changes"] if supplement else manifest["shards"])
    for law in manifest["laws"]:
        total = 0
        for number in range(1, (1 if supplement else law["shards"]) + 1):
            row = rows.pop(0) if rows else None
            if row is None or row["law_id"] != law["law_id"] or row["shard"] != number:
                return False
            stem = f"{law['law_id']}.{number:04}"
            names = [f"{stem}.json", f"{stem}.bin"]
            if row["file"] not in ([f"{law['law_id']}.changes.json"] if supplement else names):
                return False
            if not supplement and row["count"] > SHARD_KEYS_MAX:
                return False
            total += row["count"]
        if total != law["registered"] + law["revoked"]:
            return False
    return not rows


def parse(data):
    """The manifest, and what is wrong with it (None if nothing is)."""
    manifest = read_json(data, pretty)
    if manifest is None or not SHAPE(manifest):
        return None, "not a manifest in its canonical form"
    laws, roll = manifest["laws"], manifest["roll"]
    supplement = manifest["parent"] is not None
    names = [law["law_id"].encode() for law in laws]
    registered = sum(law["registered"] for law in laws)
    rows = registered + sum(law["revoked"] for law in laws) + roll["duplicates"] + roll["rejects"]
    shortest = roll["code_length_min"]
    if supplement:
        kind = manifest["shards"] == [] and all(law["shards"] == 0 for law in laws)
    else:
        kind = manifest["changes"] == [] and all(
            law["shards"] >= 1 and law["revoked"] == 0 for law in laws)
    rules = {
        "pepper": (manifest["pepper"] is None) == (manifest["scheme"] == "sha256"),
        "date": manifest["date"] is None or _is_day(manifest["date"]),
        "laws": all(a < b for a, b in zip(names, names[1:])),
        "code_length_min": (shortest == 0) == (registered == 0)
        and (shortest == 0 or shortest >= 4),
        "roll or supplement": kind,
        "shards or changes": _rows_fit(manifest),
        "rows": roll["rows"] == rows,
    }
    wrong = [name for name, holds in rules.items() if not holds]
    return manifest, f"broken rules of form: {', '.join(wrong)}" if wrong else None


def law_of(manifest, law_id):
    """The row of a law in `laws`, or None."""
    return next((law for law in manifest["laws"] if law["law_id"] == law_id), None)


def _read_shard(data, row, shards):
    """The keys of a shard in either form, or None."""
    law_id = row["law_id"]
    if row["file"].endswith(".bin"):
        law = law_id.encode()
        head = b"VKSHARD1" + b"".join(
            number.to_bytes(4, "big") for number in (row["shard"], shards, row["count"]))
        head += bytes([len(law)]) + law
        if not data.startswith(head) or len(data) != len(head) + 32 * row["count"]:
            return None
        return [data[at : at + 32] for at in range(len(head), len(data), 32)]
    head = compact({
        "format": "votekit-shard/1", "law_id": law_id, "shard": row["shard"], "shards": shards,
        "count": row["count"]})[:-1] + b',"keys":['
    try:
        keys = [bytes.fromhex(line.strip('",')) for line in data.decode().split("\n")[1:-2]]
    except (ValueError, UnicodeDecodeError):
        return None
    lines = ",\n".join(f'"{key.hex()}"' for key in keys)
    whole = head + b"\n" + (lines + "\n" if keys else "").encode() + b"]}\n"
    return keys if whole == data and len(keys) == row["count"] else None


def _is_pair(value):
    return list_of(hexadecimal(32))(value) and len(value) == 2


CHANGES = table(
    format=one_of("votekit-changes/1"),
    law_id=law_id,
    add=list_of(hexadecimal(32)),
    revoke=list_of(hexadecimal(32)),
    replace=list_of(_is_pair),
)
READMIT = list_of(_is_pair)


def _ascends(keys):
    return all(a < b for a, b in zip(keys, keys[1:]))


def _read_changes(data, row, law):
    changes = read_json(data, lambda value: compact(value) + b"\n")
    if not isinstance(changes, dict):
        return None
    # The one key that is left out when its list is empty.
    readmit = changes.pop("readmit", None)
    if readmit is not None and not (READMIT(readmit) and readmit):
        return None
    readmit = readmit or []
    if not CHANGES(changes) or changes["law_id"] != row["law_id"]:
        return None
    add, revoke, replace = (changes[key] for key in ("add", "revoke", "replace"))
    keys = add + revoke + [key for pair in replace + readmit for key in pair]
    good = (
        _ascends(add) and _ascends(revoke) and _ascends([pair[0] for pair in replace])
        and _ascends([pair[0] for pair in readmit])
        and len(set(keys)) == len(keys) == row["count"] + len(readmit)
        and len(add) + len(replace) + len(readmit) == law["registered"]
        and len(revoke) + len(replace) == law["revoked"])
    return {**changes, "readmit": readmit} if good else None


def read_folder(manifest, law_id, folder):
    """The keys of a roll, or the changes of a supplement, from the files in this folder; None if
    a file is missing or is not the one stated."""
    law = law_of(manifest, law_id)
    supplement = manifest["parent"] is not None
    keys = []
    for row in manifest["changes"] if supplement else manifest["shards"]:
        if row["law_id"] != law_id:
            continue
        path = folder / row["file"]
        data = path.read_bytes() if path.is_file() else b""
        if sha256(data).hexdigest() != row["sha256"]:
            return None
        if supplement:
            return _read_changes(data, row, law)
        shard = _read_shard(data, row, law["shards"])
        if shard is None:
            return None
        keys += shard
    return keys if _ascends(keys) else None
