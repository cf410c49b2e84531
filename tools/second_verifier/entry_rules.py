"""The rules of entries and replays: docs/formats.md, sections 6 (*Decisions*) and 13."""

from leaves import ATTEMPT_MAX


class Entries:
    """The decisions of a log. `fail(rule, message)` takes failures; `electorate` is None without
    shards."""

    def __init__(self, fail, electorate):
        self._fail, self._electorate = fail, electorate
        self._requests = set()
        self._attempts = {}  # credential hash in hexadecimal -> attempts so far
        self._latest_minute = 0  # of the votes that were in time

    def take_replay(self, leaf):
        """Takes a `replay` leaf."""
        if leaf["request"] not in self._requests:
            self._fail("replay", "a request that was not decided before")

    def take_entry(self, leaf, opens, closes):
        """Takes an `entry` leaf; `opens` and `closes` are the window so far, None if not set."""
        reason = leaf.get("reason")
        decided = leaf["request"] in self._requests
        if reason == "clash":
            if not decided:
                self._fail("request-once", "a clash with a request that was not decided before")
            return
        if decided:
            self._fail("request-once", "a request that was decided before")
        self._requests.add(leaf["request"])
        self._check_time(reason, leaf["minute"], opens, closes)
        if leaf["decision"] == "accepted":
            self._take_accepted(leaf["hash"])
        elif leaf["decision"] == "duplicate":
            self._take_duplicate(leaf["hash"], leaf["attempt"])

    def check_close(self, closes):
        """No vote from the effective closing or later was taken as in time."""
        if self._latest_minute >= closes:
            self._fail("entry-time", "votes from the closing or later are counted")

    def _check_time(self, reason, minute, opens, closes):
        early = opens is None or minute < opens
        late = not early and closes is not None and minute >= closes
        if reason not in ("early", "late"):
            self._latest_minute = max(self._latest_minute, minute)
        if (early, late) != (reason == "early", reason == "late"):
            self._fail("entry-time", f"the decision does not fit minute {minute}")

    def _take_accepted(self, credential):
        if credential in self._attempts:
            self._fail("accepted-once", "this credential has an accepted vote")
        self._attempts.setdefault(credential, 1)
        self._check_elector(credential)

    def _take_duplicate(self, credential, attempt):
        before = self._attempts.get(credential)
        if before is None:
            self._fail("duplicate-attempt", "this credential has no accepted vote")
        else:
            expected = min(before + 1, ATTEMPT_MAX)
            self._attempts[credential] = expected
            if attempt != expected:
                self._fail("duplicate-attempt", f"attempt {attempt} where {expected} follows")
        self._check_elector(credential)

    def _check_elector(self, credential):
        if self._electorate is not None:
            message = self._electorate.vote(bytes.fromhex(credential))
            if message is not None:
                self._fail("electorate", message)
