#!/usr/bin/env python3
"""Verifies bundles of votekit by docs/formats.md, section 13. See README.md beside this file."""

import argparse
import json
import re
import sys
from pathlib import Path

# The folder of the program may not be writable, and is often a repository.
sys.dont_write_bytecode = True

from bundle import Verification  # noqa: E402

EXIT = {"VERIFIED": 0, "FAILED": 5, "CONSISTENT": 6}


def parse_fingerprint(text):
    """A SHA-256 in hexadecimal; capitals, spaces and colons do not matter."""
    digits = "".join(text.replace(":", " ").split()).lower()
    if re.fullmatch("[0-9a-f]{64}", digits) is None:
        raise argparse.ArgumentTypeError("a fingerprint has 64 hexadecimal digits")
    return digits


def parse_arguments():
    parser = argparse.ArgumentParser(prog="verify.py", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder of a bundle")
    pin = parser.add_mutually_exclusive_group()
    pin.add_argument("--policy", type=Path, help="the policy, from elsewhere than the bundle")
    pin.add_argument(
        "--fingerprint", type=parse_fingerprint,
        help="the policy's SHA-256, from elsewhere than the bundle")
    parser.add_argument(
        "--shards", type=Path, action="append", default=[],
        help="folder of the shards of a roll or of a supplement")
    parser.add_argument(
        "--batch", action="store_true",
        help="BUNDLE is a folder of bundles; print one JSON object of them all")
    return parser.parse_args()


def printable(text):
    """Names and texts of a bundle may hold what drives a terminal, or is not UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def main():
    arguments = parse_arguments()
    pinned = arguments.policy.read_bytes() if arguments.policy else None

    def verify(folder):
        return Verification(folder, pinned, arguments.fingerprint, arguments.shards)

    if arguments.batch:
        report = {}
        for folder in sorted(arguments.bundle.iterdir()):
            done = verify(folder)
            report[folder.name] = {"verdict": done.verdict, "failures": done.fail.listed}
        print(json.dumps(report, indent=2))
        return 0
    done = verify(arguments.bundle)
    for failure in done.fail.listed:
        line = f":{failure['line']}" if failure["line"] else ""
        print(printable(f"{failure['file']}{line} {failure['rule']} {failure['message']}"))
    for rule, count in done.fail.counts.items():
        listed = sum(failure["rule"] == rule for failure in done.fail.listed)
        if count > listed:
            print(f"{count - listed} more failures of rule {rule}")
    print(done.verdict)
    return EXIT[done.verdict]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        print(printable(f"verify.py: {error}"), file=sys.stderr)
        sys.exit(1)
