"""The rules of section 13 of docs/formats.md that the leaves alone decide, leaf by leaf, with the
decisions of section 6 and the commitments of section 7."""

from hashlib import sha256

import definition as definitions
import ed25519
import ristretto
from merkle import Tree

NEUTRAL_BYTES = bytes(32)
COUNTED = ("received", "accepted", "duplicate", "invalid", "replayed")
# What may follow each state. `amended` and `purged` change no state.
NEXT = {
    None: {"draft"},
    "draft": {"amended", "open"},
    "open": {"closing"},
    "closing": {"closed"},
    "closed": {"certified", "annulled"},
    "certified": {"annulled", "purged"},
    "annulled": {"purged"},
}
PLACE = list(NEXT)
EVENTS, BATCHES, COUNTS, TOTALS = range(4)
PHASE_OF = {"election": EVENTS, "roll": EVENTS, "node": EVENTS, "batch": BATCHES,
            "counts": COUNTS, "totals": TOTALS}


def empty_report():
    return dict.fromkeys(COUNTED, 0)


class Epoch:
    """What the log says of one epoch of a node."""

    def __init__(self):
        self.sequence = 0
        self.confirmed = 0
        self.ended = False
        self.minute = 0


class Batch:
    """The batch whose envelopes the log lists now."""

    def __init__(self, line, leaf, law_id, epoch):
        self.line, self.leaf, self.epoch = line, leaf, epoch
        self.left = leaf["count"]
        self.law_id = law_id.encode()[:255]
        self.envelopes = sha256(b"votekit-envelopes/1\n")

    def signed(self):
        """What the node signed (section 5)."""
        leaf = self.leaf
        return b"".join([
            b"votekit-batch/1\n", bytes([len(self.law_id)]), self.law_id,
            bytes.fromhex(leaf["node"]), leaf["epoch"].to_bytes(4, "big"),
            leaf["sequence"].to_bytes(8, "big"), leaf["confirmed"].to_bytes(8, "big"),
            bytes([leaf["last"]]), leaf["count"].to_bytes(4, "big"),
            bytes.fromhex(leaf["envelopes"]), bytes.fromhex(leaf["digest"])])


class Log:
    """Follows a log. `fail(line, rule, message)` takes each failure; `manifests` holds the
    manifests of the bundle by their SHA-256, and `electorate` is None without shards."""

    def __init__(self, fail, manifests, leaders, electorate):
        self.fail, self.manifests, self.leaders = fail, manifests, leaders
        self.electorate = electorate
        self.tree = Tree()
        self.line = 0
        self.state, self.purged = None, False
        self.definition = None
        self.opened = self.planned = self.closes = self.closed_at = None
        self.closing_seen = False
        self.report = empty_report()
        # Blocks.
        self.height, self.term, self.sealed_at = 0, 1, None
        self.phase, self.batches_here, self.closes_here = EVENTS, 0, False
        self.block_times, self.block_has_leaf = [], False
        # Rolls.
        self.rolls, self.root_roll = [], None
        self.loaded = self.added = self.revoked = 0
        self.named_manifests = []
        # Nodes and batches.
        self.keys, self.epochs, self.digests = {}, {}, set()
        self.batch = None
        self.requests, self.attempts = set(), {}
        self.latest_minute = None
        # Totals.
        self.sums = {0: None}
        self.accepted_through = {0: 0}
        self.totals, self.totals_pending = None, None
        self.any_totals = False
        self.at_close = None
        self.certified = None

    @property
    def registered(self):
        return self.loaded + self.added - self.revoked

    def _fail(self, rule, message, line=None):
        self.fail(line or self.line, rule, message)

    # Blocks.

    def push(self, data, leaf):
        """Takes the next line: its bytes, and the leaf (None if it is not one)."""
        self.line += 1
        self.tree.push(data)
        if leaf is None:
            self._fail("leaf", "not a leaf in its canonical form")
            return
        kind = leaf["leaf"]
        if kind in ("entry", "replay"):
            self._envelope(leaf)
            return
        self._end_batch()
        if kind == "block":
            self._block(leaf)
            return
        phase = PHASE_OF[kind]
        if phase < self.phase or (phase == self.phase and phase in (COUNTS, TOTALS)):
            self._fail("block-order", f"a leaf of kind {kind} stands too late in its block")
        self.phase = max(self.phase, phase)
        if self.state is None and not (kind == "election" and leaf["state"] == "draft"):
            self._fail("state", "a log starts with a draft")
        self.block_has_leaf = True
        getattr(self, f"_{kind}")(leaf)

    def _time(self, minute, is_event):
        self.block_times.append((self.line, minute, is_event))

    def _block(self, leaf):
        if self.height == 0 and self.state is None:
            self._fail("state", "block 1 does not hold the draft")
        if (self.batches_here > 0) != (self.phase >= COUNTS and self.counts_here):
            self._fail("block-order", "counts stand in a block if and only if a batch does")
        if self.closes_here and self.totals_pending is None:
            self._fail("totals-place", "the closing block opens no totals")
        self.height += 1
        if leaf["height"] != self.height:
            self._fail("block-height", f"height {leaf['height']} where {self.height} follows")
        if leaf["term"] < self.term:
            self._fail("block-term", f"term {leaf['term']} after {self.term}")
        self.term = max(self.term, leaf["term"])
        if leaf["leader"] not in self.leaders:
            self._fail("block-leader", f"{leaf['leader']} is not an authority of the policy")
        sealed_at = leaf["sealed_at"]
        if self.sealed_at is not None and sealed_at < self.sealed_at:
            self._fail("block-time", f"minute {sealed_at} after {self.sealed_at}")
        for line, minute, is_event in self.block_times:
            if minute > sealed_at:
                self._fail("leaf-time", "a time after the minute of its block", line)
            if is_event and self.sealed_at is not None and minute < self.sealed_at:
                self._fail("leaf-time", "an event before the block before", line)
        if self.report["accepted"] > self.registered:
            self._fail("registered", "more votes are accepted than electors are registered")
        self.sealed_at = sealed_at
        self.accepted_through[self.height] = self.report["accepted"]
        self.sums.setdefault(self.height, self.sums[self.height - 1])
        if self.totals_pending is not None:
            self._open_totals(*self.totals_pending)
        if self.closes_here and self.at_close is None:
            self.at_close = self.result(self.tree.root())
        self.phase, self.batches_here, self.closes_here = EVENTS, 0, False
        self.block_times, self.block_has_leaf, self.totals_pending = [], False, None

    @property
    def counts_here(self):
        return self.height + 1 in self.sums

    def end(self):
        self._end_batch()
        if self.block_has_leaf or self.line == 0:
            self._fail("block-order", "the log ends inside a block")

    # The election.

    def _election(self, leaf):
        state = leaf["state"]
        self._time(leaf["at"], True)
        again = state == "purged" and self.purged
        if state not in NEXT[self.state] or again:
            self._fail("state", f"{state} cannot follow {self.state}")
            forward = PLACE.index(state) > PLACE.index(self.state) if state in NEXT else False
            if not forward:
                return
        handler = getattr(self, f"_{state}", None)
        if handler is not None:
            handler(leaf)
        if state == "purged":
            self.purged = True
        elif state != "amended":
            self.state = state

    def _draft(self, leaf):
        self.definition = leaf["definition"]
        for message in definitions.faults(self.definition):
            self._fail("definition", message)

    def _amended(self, leaf):
        before, self.definition = self.definition, leaf["definition"]
        for message in definitions.faults(self.definition):
            self._fail("definition", message)
        for key in ("law_id", "binding", "ballot_key"):
            if before is not None and before[key] != self.definition[key]:
                self._fail("amendment", f"it changes {key}")

    def _open(self, leaf):
        self.opened, self.planned = leaf["opens"], leaf["closes"]
        self.closes = self.planned
        if self.definition is not None:
            planned = self.definition["opens"]
            if planned is not None and self.opened < planned:
                self._fail("window", "it opens before it was planned")
            if self.planned != self.definition["closes"]:
                self._fail("window", "another closing than that of the definition")
            self._binding(leaf["waivers"])
        if self.opened < leaf["at"]:
            self._fail("window", "it opens before this leaf")
        if self.planned is not None and self.planned <= self.opened:
            self._fail("window", "it closes before it opens")
        if leaf["registered"] != self.registered:
            self._fail("registered", f"{leaf['registered']} where {self.registered} follow")
        if leaf["zero_report"] != empty_report() or self.report != empty_report():
            self._fail("zero-report", "the box is not empty")

    def _binding(self, waivers):
        for waiver in waivers:
            if waiver != "results":
                self._fail("binding", f"an unknown waiver: {waiver}")
        if not self.definition["binding"]:
            return
        if self.definition["results"] != "after_close" and "results" not in waivers:
            self._fail("binding", "results are shown before the close")
        for roll in self.rolls:
            self._binding_roll(roll)

    def _binding_roll(self, roll):
        manifest = self.manifests.get(roll["manifest"])
        if roll["scheme"] != "hmac-sha256" or (manifest and manifest["scheme"] == "sha256"):
            self._fail("binding", "a roll without a pepper")
        # A supplement that only revokes hashes no code, and states 0.
        if manifest is not None and 0 < manifest["roll"]["code_length_min"] < 8:
            self._fail("binding", "access codes of fewer than 8 characters")

    def _closing(self, leaf):
        self.closes, self.closing_seen = leaf["closes"], True
        reason = leaf["reason"]
        if self.opened is not None and self.closes <= self.opened:
            self._fail("window", "it closes before it opens")
        if self.planned is not None:
            if self.closes > self.planned:
                self._fail("window", "it closes after it was planned")
            if (self.closes < self.planned) != (reason is not None):
                self._fail("window", "a reason is there if and only if it closes early")
        if reason is not None and not definitions.is_reason(reason):
            self._fail("leaf", "not a reason")
        if self.latest_minute is not None and self.latest_minute >= self.closes:
            self._fail("entry-time", "votes from the closing or later are counted")

    def _closed(self, leaf):
        self.closes_here = True
        if leaf["registered"] != self.registered:
            self._fail("registered", f"{leaf['registered']} where {self.registered} follow")
        if leaf["report"] != self.report:
            self._fail("close-report", f"the log has {self.report}")
        numbers = {}
        for (node, number), epoch in self.epochs.items():
            numbers.setdefault(node, []).append(number)
            if not epoch.ended:
                self._fail("epoch-end", f"epoch {number} of node {node} has not ended")
        for node, found in numbers.items():
            if sorted(found) != list(range(1, len(found) + 1)):
                self._fail("epoch-end", f"node {node} has left out an epoch")

    def _certified(self, leaf):
        self.certified = (self.line, leaf["results"])

    def _annulled(self, leaf):
        if not definitions.is_reason(leaf["reason"]):
            self._fail("leaf", "not a reason")

    # Rolls.

    def _roll(self, leaf):
        self.named_manifests.append((self.line, leaf["manifest"]))
        manifest = self.manifests.get(leaf["manifest"])
        first = leaf["parent"] is None
        before = self.rolls[-1] if self.rolls else None
        if first:
            fits = self.state == "draft" and leaf["replaces"] == self.root_roll
            if fits:
                self.rolls, self.loaded, self.added, self.revoked = [], 0, 0, 0
        else:
            fits = (
                self.state in ("draft", "open") and before is not None
                and leaf["replaces"] is None and leaf["parent"] == before["manifest"]
                and leaf["scheme"] == before["scheme"])
        if not fits:
            self._fail("roll-chain", "this roll or supplement does not follow here")
        if manifest is not None:
            if manifest["parent"] != leaf["parent"]:
                self._fail("roll-chain", "the manifest names another parent")
            self._roll_counts(leaf, manifest)
        if first and not fits:
            return
        if first:
            self.root_roll = leaf["manifest"]
        self.rolls.append(leaf)
        self.loaded += leaf["loaded"]
        self.added += leaf["added"]
        self.revoked += leaf["revoked"]
        if self.definition is None:
            return
        if self.state == "open" and self.definition["binding"]:
            self._binding_roll(leaf)
        if self.electorate is not None:
            message = self.electorate.load(leaf, manifest, self.definition["law_id"])
            if message:
                self._fail("electorate", message)

    def _roll_counts(self, leaf, manifest):
        if manifest["scheme"] != leaf["scheme"]:
            self._fail("roll-counts", "another scheme than the manifest's")
        laws = manifest["laws"]
        law_id = self.definition["law_id"] if self.definition else None
        law = next((law for law in laws if law["law_id"] == law_id), None)
        if law is None:
            self._fail("roll-counts", "the manifest does not name this law")
        elif leaf["parent"] is None:
            if (leaf["loaded"], leaf["added"], leaf["revoked"], leaf["refused"]) != (
                    law["registered"], 0, 0, 0):
                self._fail("roll-counts", "not what the manifest counts")
        elif (
            leaf["loaded"] != 0 or leaf["added"] > law["registered"]
            or leaf["revoked"] + leaf["refused"] != law["revoked"]
        ):
            self._fail("roll-counts", "not what the manifest counts")

    # Nodes.

    def _node(self, leaf):
        node = leaf["node"]
        if leaf["event"] == "retired":
            self._retired(leaf)
            return
        key = bytes.fromhex(leaf["key"])
        if sha256(b"votekit-node/1\n" + key).hexdigest()[:16] != node:
            self._fail("node-admission", "the id is not that of the key")
        if not ed25519.is_usable_key(key):
            self._fail("node-admission", "the key cannot be used")
        if node in self.keys:
            self._fail("node-admission", "admitted before")
        if self.state not in ("draft", "open"):
            self._fail("node-admission", f"a node is admitted while the poll is {self.state}")
        self.keys.setdefault(node, key)

    def _retired(self, leaf):
        node = leaf["node"]
        epoch = self.epochs.setdefault((node, leaf["epoch"]), Epoch())
        if self.state not in ("open", "closing"):
            self._fail("node-retirement", f"a retirement while the poll is {self.state}")
        if node not in self.keys:
            self._fail("node-retirement", "a node that was not admitted")
        if epoch.ended:
            self._fail("node-retirement", "the epoch has ended before")
        if (leaf["through"], leaf["confirmed"]) != (epoch.sequence, epoch.confirmed):
            self._fail("node-retirement", f"the log has come to {epoch.sequence}")
        epoch.ended = True

    # Batches and their envelopes.

    def _batch(self, leaf):
        node = leaf["node"]
        self.batches_here += 1
        epoch = self.epochs.setdefault((node, leaf["epoch"]), Epoch())
        if self.state not in ("open", "closing"):
            self._fail("batch-state", f"a batch while the poll is {self.state}")
        if node not in self.keys:
            self._fail("node-admission", f"a batch of node {node}, which was not admitted")
        if leaf["sequence"] != epoch.sequence + 1:
            self._fail("batch-number", f"{leaf['sequence']} follows {epoch.sequence}")
        if epoch.ended:
            self._fail("batch-number", "the epoch has ended")
        if not epoch.confirmed <= leaf["confirmed"] < leaf["sequence"]:
            self._fail("batch-number", "the confirmed-through number is out of range")
        if leaf["digest"] in self.digests:
            self._fail("batch-once", "the digest of an earlier batch")
        self.digests.add(leaf["digest"])
        epoch.sequence = leaf["sequence"]
        epoch.confirmed = max(epoch.confirmed, leaf["confirmed"])
        epoch.ended = epoch.ended or leaf["last"]
        law_id = self.definition["law_id"] if self.definition else ""
        self.batch = Batch(self.line, leaf, law_id, epoch)
        self.report["received"] += leaf["count"]
        key = self.keys.get(node)
        signature = bytes.fromhex(leaf["signature"])
        if key is not None and not ed25519.verify(key, self.batch.signed(), signature):
            self._fail("batch-signature", "the node did not sign this")

    def _end_batch(self):
        batch, self.batch = self.batch, None
        if batch is None:
            return
        if batch.left != 0:
            self._fail("batch-count", f"{batch.left} envelopes have no leaf", batch.line)
        if batch.envelopes.hexdigest() != batch.leaf["envelopes"]:
            self._fail("batch-envelopes", "not the envelopes that the node signed", batch.line)

    def _envelope(self, leaf):
        self.block_has_leaf = True
        batch = self.batch
        if batch is None:
            self._fail("block-order", "an envelope outside a batch")
            self._fail("batch-count", "an envelope outside a batch")
        else:
            batch.left -= 1
            if batch.left == -1:
                self._fail("batch-count", "more envelopes than the batch counts")
            batch.envelopes.update(self._envelope_digest(leaf))
        if leaf["leaf"] == "replay":
            self.report["replayed"] += 1
            if leaf["request"] not in self.requests:
                self._fail("replay", "a request that was not decided before")
        else:
            self._entry(leaf)

    @staticmethod
    def _envelope_digest(leaf):
        if "envelope" in leaf:
            return bytes.fromhex(leaf["envelope"])
        parts = bytes.fromhex(leaf["request"]) + leaf["minute"].to_bytes(4, "big")
        parts += bytes.fromhex(leaf["hash"])
        return sha256(b"votekit-envelope/1\n" + parts).digest()

    def _entry(self, leaf):
        decision, minute = leaf["decision"], leaf["minute"]
        self._time(minute, False)
        epoch = self.batch.epoch if self.batch else None
        if epoch is not None:
            if minute < epoch.minute:
                self._fail("batch-minute", f"minute {minute} after {epoch.minute}")
            epoch.minute = max(epoch.minute, minute)
        self.report[decision] += 1
        clash = leaf.get("reason") == "clash"
        if clash != (leaf["request"] in self.requests):
            self._fail("request-once", "a clash of nothing" if clash else "decided before")
        self.requests.add(leaf["request"])
        self._entry_time(leaf.get("reason"), minute)
        if decision == "accepted":
            self._accepted(leaf["hash"])
        elif decision == "duplicate":
            self._duplicate(leaf["hash"], leaf["attempt"])

    def _entry_time(self, reason, minute):
        if self.opened is None or reason == "clash":
            return
        early = minute < self.opened
        late = self.closes is not None and minute >= self.closes
        if reason == "early":
            good = early
        elif reason == "late":
            good = late and not early
        else:
            good = not early and not late
            if self.latest_minute is None or minute > self.latest_minute:
                self.latest_minute = minute
        if not good:
            self._fail("entry-time", f"the decision does not fit minute {minute}")

    def _accepted(self, credential):
        if credential in self.attempts:
            self._fail("accepted-once", "this credential has an accepted vote")
        self.attempts.setdefault(credential, 1)
        self._elector(credential, True)

    def _duplicate(self, credential, attempt):
        before = self.attempts.get(credential)
        if before is None or attempt != before + 1:
            self._fail("duplicate-attempt", f"attempt {attempt} after {before or 0}")
        self.attempts[credential] = attempt
        self._elector(credential, False)

    def _elector(self, credential, votes):
        if self.electorate is not None:
            message = self.electorate.vote(bytes.fromhex(credential), votes)
            if message:
                self._fail("electorate", message)

    # Commitments and totals.

    def _counts(self, leaf):
        elements = [ristretto.decode(bytes.fromhex(c)) for c in leaf["commitments"]]
        expected = len(self.definition["choices"]) + 1 if self.definition else len(elements)
        neutral = NEUTRAL_BYTES.hex() in leaf["commitments"]
        if len(elements) != expected or None in elements or neutral:
            self._fail("counts-form", "not a commitment to each choice and to spoiled votes")
        if len(elements) != expected:
            elements = [ristretto.NEUTRAL] * expected
        elements = [element or ristretto.NEUTRAL for element in elements]
        before = self.sums[self.height]
        if before is not None:
            elements = [ristretto.add(a, b) for a, b in zip(before, elements)]
        self.sums[self.height + 1] = elements

    def _totals(self, leaf):
        self.any_totals = True
        self.totals_pending = (self.line, leaf)

    def _open_totals(self, line, leaf):
        """The totals of a block, once the block has ended."""
        through, values = leaf["through"], leaf["values"]
        before = self.totals
        place = through == self.height if self.closes_here else (
            (before["through"] if before else 0) <= through <= self.height)
        if not place or (PLACE.index(self.state) > PLACE.index("closed")):
            self._fail("totals-place", f"totals through {through} in block {self.height}", line)
        if not self.closes_here:
            self._totals_policy(line, before["through"] if before else 0, through)
        if through in self.sums:
            self._totals_open(line, leaf, self.sums[through])
            if sum(values) != self.accepted_through[through]:
                self._fail("totals-sum", f"{self.accepted_through[through]} are accepted", line)
        if before is not None and any(a > b for a, b in zip(before["values"], values)):
            self._fail("totals-fall", "a total is below that of earlier totals", line)
        self.totals = leaf

    def _totals_policy(self, line, before, through):
        """`before` is the `through` of the totals before these."""
        if self.definition is None:
            return
        every = self.definition["publish_every"]
        if self.definition["results"] != "live":
            self._fail("totals-policy", "totals before the close", line)
        accepted = self.report["accepted"]
        here = self.accepted_through.get(through, accepted)
        opened = here - self.accepted_through.get(before, accepted)
        if opened < every or (every > 1 and accepted - here < every):
            self._fail("totals-policy", "too few votes are opened or held back", line)

    def _totals_open(self, line, leaf, sums):
        values = leaf["values"]
        blindings = [ristretto.scalar(bytes.fromhex(b)) for b in leaf["blindings"]]
        count = len(self.definition["choices"]) + 1 if self.definition else len(values)
        good = len(values) == len(blindings) == count and None not in blindings
        sums = sums if sums is not None else [ristretto.NEUTRAL] * count
        if not good or not all(
            ristretto.equal(ristretto.commit(value, blinding), total)
            for value, blinding, total in zip(values, blindings, sums)
        ):
            self._fail("totals-open", "the totals do not open the sums", line)

    # Results.

    def result(self, root):
        """What the log says here: section 12."""
        return {
            "registered": self.registered, "report": dict(self.report), "totals": self.totals,
            "size": self.tree.size, "root": root.hex(), "updated_at": self.sealed_at}
