"""The rules of a log, leaf by leaf: blocks, times and the states of the election
(docs/formats.md, sections 6 and 13). Rolls, batches, entries and totals have modules of their
own."""

import definition as definitions
from batch_rules import Batches
from entry_rules import Entries
from merkle import Tree
from roll_rules import Rolls
from totals_rules import Totals

COUNTED = ("received", "accepted", "duplicate", "invalid", "replayed")
# What may follow each state. `amended` and `purged` change no state.
NEXT = {
    None: ("draft",),
    "draft": ("amended", "open"),
    "open": ("closing",),
    "closing": ("closed",),
    "closed": ("certified", "annulled"),
    "certified": ("annulled", "purged"),
    "annulled": ("purged",),
}
STATES = list(NEXT)
# Minutes between the record of a closing and the closing itself, at most.
CLOSING_AHEAD_MAX = 5
# The parts of a block, in their order.
EVENTS, BATCHES, COUNTS, TOTALS = range(4)
PART_OF = {"election": EVENTS, "roll": EVENTS, "node": EVENTS, "batch": BATCHES,
           "counts": COUNTS, "totals": TOTALS}


class Log:
    """Follows a log. `fail(line, rule, message)` takes each failure; `manifests` maps SHA-256 in
    hexadecimal to the manifests of the bundle; `leaders` holds the names of the authorities, or is
    None if they are unknown; `electorate` is None without shards."""

    def __init__(self, fail, manifests, leaders, electorate):
        self._report_failure, self._leaders = fail, leaders
        self.tree = Tree()
        self.rolls = Rolls(self._fail, manifests, electorate)
        self.batches = Batches(self._fail)
        self.entries = Entries(self._fail, electorate)
        self.totals = Totals(self._fail)
        # The election.
        self.state, self._purged = None, False
        self.definition = None
        self.opens = self.closes = None  # the window; `closes` is planned until the closing
        self._effective_closing = None
        self.report = empty_report()
        self.at_close = None  # the facts of the result as of the close
        self.certified = None  # line and digest of the `certified` leaf
        self.witness_waiver = None  # its reason to go without outside witnesses
        # Blocks.
        self._line = 0
        self._height, self._term, self.sealed_at = 0, 1, None
        self._start_block()

    def _start_block(self):
        self._part, self._is_inside, self._closes_here = EVENTS, False, False
        self._times = []  # line and minute of each time in the block

    def _fail(self, rule, message, line=None):
        self._report_failure(line or self._line, rule, message)

    def push(self, data, leaf):
        """Takes the next line: its bytes, and the leaf or None if it is not one."""
        self._line += 1
        self._is_inside = True
        self.tree.push(data)
        if leaf is None:
            self._fail("leaf", "not a leaf in its canonical form")
        elif leaf["leaf"] in ("entry", "replay"):
            self._envelope(leaf)
        else:
            self._other(leaf)

    def end(self):
        """Ends the log, after the last line."""
        self.batches.end_batch()
        if self._is_inside:
            self._fail("block-order", "the log ends inside a block")
        if self._line == 0:
            self._fail("state", "the log is empty")
        accepted, registered = self.report["accepted"], self.rolls.registered
        if accepted > registered:
            self._fail("registered", f"{accepted} votes of {registered} electors are accepted")

    def result_facts(self):
        """What the log says here of the result (section 12)."""
        return {
            "opened": self.opens, "closed": self._effective_closing,
            "registered": self.rolls.registered, "report": dict(self.report),
            "values": self.totals.values, "size": self.tree.size,
            "root": self.tree.root().hex(), "updated_at": self.sealed_at}

    # Leaves.

    def _envelope(self, leaf):
        self.batches.take_envelope(leaf)
        if leaf["leaf"] == "replay":
            self.entries.take_replay(leaf)
            self.report["replayed"] += 1
        else:
            self._times.append((self._line, leaf["minute"]))
            self.entries.take_entry(leaf, self.opens, self.closes)
            self.report[leaf["decision"]] += 1

    def _other(self, leaf):
        kind = leaf["leaf"]
        self.batches.end_batch()
        if self._line == 1 and not (kind == "election" and leaf["state"] == "draft"):
            self._fail("state", "the log does not begin with a draft")
        if not self._stands_in_order(kind):
            self._fail("block-order", f"a leaf of kind {kind} cannot stand here in its block")
        self._part = PART_OF.get(kind, self._part)
        if kind == "election":
            self._event(leaf)
        elif kind == "roll":
            self.rolls.take(leaf, self.state, self.definition, self._line)
        elif kind == "node":
            self.batches.take_node(leaf, self.state)
        elif kind == "batch":
            law_id = self.definition["law_id"] if self.definition else None
            self.batches.take_batch(leaf, self.state, law_id, self._line)
            self.report["received"] += leaf["count"]
        elif kind == "counts":
            self.totals.take_counts(leaf, self.definition)
        elif kind == "totals":
            self.totals.take_totals(leaf, self._line)
        else:
            self._block(leaf)

    def _stands_in_order(self, kind):
        allowed = {
            "batch": (EVENTS, BATCHES), "counts": (BATCHES,), "totals": (EVENTS, COUNTS),
            "block": (EVENTS, COUNTS, TOTALS)}
        return self._part in allowed.get(kind, (EVENTS,))

    def _block(self, leaf):
        self._height += 1
        if leaf["height"] != self._height:
            self._fail("block-height", f"height {leaf['height']} where {self._height} follows")
        if leaf["term"] < self._term:
            self._fail("block-term", f"term {leaf['term']} after {self._term}")
        self._term = leaf["term"]
        if self._leaders is not None and leaf["leader"] not in self._leaders:
            self._fail("block-leader", f"{leaf['leader']} is not an authority of the policy")
        sealed_at = leaf["sealed_at"]
        if self.sealed_at is not None and sealed_at < self.sealed_at:
            self._fail("block-time", f"minute {sealed_at} after {self.sealed_at}")
        for line, minute in self._times:
            if minute > sealed_at:
                self._fail("leaf-time", "a time after the minute of its block", line)
        self.sealed_at = sealed_at
        self.totals.end_block(self.definition, self._closes_here, self.report["accepted"])
        if self._closes_here and self.at_close is None:
            self.at_close = self.result_facts()
        self._start_block()

    # The election.

    def _event(self, leaf):
        state, at = leaf["state"], leaf["at"]
        self._times.append((self._line, at))
        if self.sealed_at is not None and at < self.sealed_at:
            self._fail("leaf-time", "an event before the minute of the block before")
        if state not in NEXT[self.state] or (state == "purged" and self._purged):
            self._fail("state", f"{state} cannot follow {self.state}")
            if state not in STATES or STATES.index(state) <= STATES.index(self.state):
                return
        takers = {
            "draft": self._draft, "amended": self._amended, "open": self._open,
            "closing": self._closing, "closed": self._closed, "certified": self._certified,
            "annulled": self._annulled, "purged": self._purge}
        takers[state](leaf)
        if state in STATES:
            self.state = state

    def _draft(self, leaf):
        self.definition = leaf["definition"]
        self.closes = self.definition["closes"]
        for message in definitions.faults(self.definition):
            self._fail("definition", message)

    def _amended(self, leaf):
        before = self.definition
        self._draft(leaf)
        for key in ("law_id", "binding", "ballot_key"):
            if before[key] != self.definition[key]:
                self._fail("amendment", f"it changes {key}")

    def _open(self, leaf):
        self.opens, self.closes = leaf["opens"], leaf["closes"]
        if self.opens < leaf["at"]:
            self._fail("window", "it opens before this was decided")
        if self.closes is not None and self.closes <= self.opens:
            self._fail("window", "it closes before it opens")
        if self.definition is not None:
            planned = self.definition["opens"]
            if planned is not None and self.opens < planned:
                self._fail("window", "it opens before it was planned")
            if self.closes != self.definition["closes"]:
                self._fail("window", "another closing than that of the definition")
        self._check_registered(leaf)
        if leaf["zero_report"] != empty_report() or self.report != empty_report():
            self._fail("zero-report", "the box is not empty")
        self._check_binding(leaf["waivers"])

    def _check_binding(self, waivers):
        for waiver in waivers:
            if waiver != "results":
                self._fail("binding", f"{waiver} is not a waiver")
        if self.definition is None or not self.definition["binding"]:
            return
        if self.definition["results"] != "after_close" and "results" not in waivers:
            self._fail("binding", "results are shown before the close")
        self.rolls.check_binding()

    def _check_registered(self, leaf):
        registered = self.rolls.registered
        if leaf["registered"] != registered:
            self._fail("registered", f"{leaf['registered']} where {registered} follow")

    def _closing(self, leaf):
        planned, reason = self.closes, leaf["reason"]
        self.closes = self._effective_closing = leaf["closes"]
        is_early = planned is not None and self.closes < planned
        if self.opens is not None and self.closes <= self.opens:
            self._fail("window", "it closes before it opens")
        if self.closes > leaf["at"] + CLOSING_AHEAD_MAX:
            self._fail("window", "it closes more than 5 minutes after the closing is recorded")
        if planned is not None and self.closes > planned:
            self._fail("window", "it closes after it was planned")
        if is_early != (reason is not None):
            self._fail("window", "a reason is there if and only if it closes before it was planned")
        elif reason is not None:
            self._check_reason(reason)
        self.entries.check_close(self.closes)

    def _closed(self, leaf):
        self._closes_here = True
        self._check_registered(leaf)
        if leaf["report"] != self.report:
            self._fail("close-report", f"the log has {self.report}")
        self.batches.check_ended()

    def _certified(self, leaf):
        self.certified = (self._line, leaf["results"])
        self.witness_waiver = leaf.get("witness_waiver")
        if self.witness_waiver is not None:
            self._check_reason(self.witness_waiver)

    def _annulled(self, leaf):
        self._check_reason(leaf["reason"])

    def _purge(self, _leaf):
        self._purged = True

    def _check_reason(self, reason):
        if not definitions.is_reason(reason):
            self._fail("state", "not a reason")


def empty_report():
    return dict.fromkeys(COUNTED, 0)
