"""The rules of nodes and batches: docs/formats.md, sections 5, 6 and 13."""

from dataclasses import dataclass
from hashlib import sha256

import ed25519


@dataclass
class Epoch:
    """What the log says of one epoch of a node."""

    sequence: int = 0
    confirmed: int = 0
    minute: int = 0
    ended: bool = False


class Batch:
    """The batch whose envelopes the log lists now. `leaf` is its leaf, on `line`."""

    def __init__(self, line, leaf, epoch):
        self.line, self.leaf, self.epoch = line, leaf, epoch
        self.left = leaf["count"]
        self.envelopes = sha256(b"votekit-envelopes/1\n")

    def signed(self, law_id):
        """The bytes that the node signed (section 5)."""
        leaf, law = self.leaf, law_id.encode()
        return b"".join([
            b"votekit-batch/1\n", bytes([len(law)]), law,
            bytes.fromhex(leaf["node"]), leaf["epoch"].to_bytes(4, "big"),
            leaf["sequence"].to_bytes(8, "big"), leaf["confirmed"].to_bytes(8, "big"),
            bytes([leaf["last"]]), leaf["count"].to_bytes(4, "big"),
            bytes.fromhex(leaf["envelopes"]), bytes.fromhex(leaf["digest"])])


class Batches:
    """The nodes of a log and their batches. `fail(rule, message, line)` takes failures; without a
    line they are of the leaf under way."""

    def __init__(self, fail):
        self._fail = fail
        self._keys = {}  # node -> public key
        self._epochs = {}  # (node, epoch) -> Epoch
        self._digests = set()
        self._batch = None

    def take_node(self, leaf, state):
        """Takes a `node` leaf."""
        if leaf["event"] == "retired":
            self._retire(leaf, state)
        else:
            self._admit(leaf, state)

    def _admit(self, leaf, state):
        node, key = leaf["node"], bytes.fromhex(leaf["key"])
        if sha256(b"votekit-node/1\n" + key).hexdigest()[:16] != node:
            self._fail("node-admission", "the id is not that of the key")
        if not ed25519.is_usable_key(key):
            self._fail("node-admission", "the key cannot be used")
        if node in self._keys:
            self._fail("node-admission", "the node was admitted before")
        if state not in ("draft", "open"):
            self._fail("node-admission", f"an admission in state {state}")
        self._keys[node] = key

    def _retire(self, leaf, state):
        node = leaf["node"]
        epoch = self._epochs.setdefault((node, leaf["epoch"]), Epoch())
        if state not in ("open", "closing"):
            self._fail("node-retirement", f"a retirement in state {state}")
        if node not in self._keys:
            self._fail("node-retirement", "the node was not admitted")
        if epoch.ended:
            self._fail("node-retirement", "the epoch has ended before")
        if (leaf["through"], leaf["confirmed"]) != (epoch.sequence, epoch.confirmed):
            self._fail(
                "node-retirement",
                f"the log ends at {epoch.sequence}, with {epoch.confirmed} confirmed")
        epoch.ended = True

    def take_batch(self, leaf, state, law_id, line):
        """Takes a `batch` leaf; `law_id` is None before a draft."""
        node = leaf["node"]
        epoch = self._epochs.setdefault((node, leaf["epoch"]), Epoch())
        if state not in ("open", "closing"):
            self._fail("batch-state", f"a batch in state {state}")
        if node not in self._keys:
            self._fail("node-admission", f"a batch of node {node}, which was not admitted")
        if leaf["sequence"] != epoch.sequence + 1:
            self._fail("batch-number", f"batch {leaf['sequence']} after {epoch.sequence}")
        if epoch.ended:
            self._fail("batch-number", "the epoch has ended")
        if leaf["confirmed"] < epoch.confirmed:
            self._fail("batch-number", "the confirmed-through number falls")
        if leaf["digest"] in self._digests:
            self._fail("batch-once", "the digest of an earlier batch")
        self._digests.add(leaf["digest"])
        epoch.sequence = leaf["sequence"]
        epoch.confirmed = max(epoch.confirmed, leaf["confirmed"])
        epoch.ended = epoch.ended or leaf["last"]
        self._batch = Batch(line, leaf, epoch)
        key = self._keys.get(node)
        if key is not None and law_id is not None:
            signature = bytes.fromhex(leaf["signature"])
            if not ed25519.verify(key, self._batch.signed(law_id), signature):
                self._fail("batch-signature", "the node did not sign this")

    def take_envelope(self, leaf):
        """Takes an `entry` or `replay` leaf."""
        batch = self._batch
        if batch is None:
            self._fail("block-order", "an envelope outside a batch")
            return
        batch.left -= 1
        if batch.left == -1:
            self._fail("batch-count", "more envelopes than the batch counts")
        batch.envelopes.update(_envelope_digest(leaf))
        minute = leaf.get("minute")
        if minute is not None:
            if minute < batch.epoch.minute:
                self._fail("batch-minute", f"minute {minute} after {batch.epoch.minute}")
            batch.epoch.minute = max(batch.epoch.minute, minute)

    def end_batch(self):
        """Ends the batch under way, if there is one."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        if batch.left > 0:
            self._fail("batch-count", f"{batch.left} envelopes have no leaf", batch.line)
        elif batch.left == 0 and batch.envelopes.hexdigest() != batch.leaf["envelopes"]:
            self._fail("batch-envelopes", "not the envelopes that the node signed", batch.line)

    def check_ended(self):
        """At the close every epoch of every node has ended."""
        numbers = {}
        for (node, number), epoch in self._epochs.items():
            numbers.setdefault(node, []).append(number)
            if not epoch.ended:
                self._fail("epoch-end", f"epoch {number} of node {node} has not ended")
        for node, found in numbers.items():
            if sorted(found) != list(range(1, len(found) + 1)):
                self._fail("epoch-end", f"an epoch of node {node} is left out")


def _envelope_digest(leaf):
    """cᵢ of section 5, as shown by the leaf or computed from it."""
    if "envelope" in leaf:
        return bytes.fromhex(leaf["envelope"])
    parts = bytes.fromhex(leaf["request"]) + leaf["minute"].to_bytes(4, "big")
    return sha256(b"votekit-envelope/1\n" + parts + bytes.fromhex(leaf["hash"])).digest()
