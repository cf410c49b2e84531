"""The rules of commitments and totals: docs/formats.md, sections 7 and 13."""

import ristretto

NEUTRAL = bytes(32).hex()


class Totals:
    """The commitments of a log and their openings. `fail(rule, message, line)` takes failures;
    without a line they are of the leaf under way."""

    def __init__(self, fail):
        self._fail = fail
        self._sums = [None]  # by height: the sums of the commitments so far, None before any
        self._accepted = [0]  # by height: the votes accepted so far
        self._block_sums = None
        self._pending = None  # the totals of the block under way, with their line
        self._opened = None  # the totals last opened
        self.any_opened = False

    @property
    def values(self):
        """The values last opened, or None."""
        return self._opened["values"] if self._opened else None

    def take_counts(self, leaf, definition):
        """Takes a `counts` leaf; `definition` is None before a draft."""
        commitments = leaf["commitments"]
        expected = len(definition["choices"]) + 1 if definition else len(commitments)
        elements = [ristretto.decode(bytes.fromhex(text)) for text in commitments]
        if len(elements) != expected or None in elements or NEUTRAL in commitments:
            self._fail("counts-form", "not a commitment to each choice and to spoiled votes")
            return
        before = self._sums[-1]
        if before is not None:
            elements = [ristretto.add(*pair) for pair in zip(before, elements)]
        self._block_sums = elements

    def take_totals(self, leaf, line):
        """Takes a `totals` leaf, which is checked at the end of its block."""
        self.any_opened = True
        self._pending = (line, leaf)

    def end_block(self, definition, closes, accepted):
        """Ends a block; `closes` says whether it closes the election, `accepted` how many votes
        are accepted so far."""
        self._sums.append(self._block_sums or self._sums[-1])
        self._accepted.append(accepted)
        if self._pending is not None:
            self._open(*self._pending, definition, closes)
        elif closes:
            self._fail("totals-place", "the block that closes the election opens no totals")
        self._block_sums = self._pending = None

    def _open(self, line, leaf, definition, closes):
        height, through = len(self._sums) - 1, leaf["through"]
        before = self._opened["through"] if self._opened else 0
        in_place = through == height if closes else before <= through <= height
        if not in_place:
            self._fail("totals-place", f"totals through {through} in block {height}", line)
        # Beyond the block is an error of the place; the rest is checked as far as the log goes.
        through = min(through, height)
        if not closes:
            self._check_policy(line, definition, min(before, height), through)
        self._check_opening(line, leaf, definition, through)
        values = leaf["values"]
        if sum(values) != self._accepted[through]:
            self._fail("totals-sum", f"{self._accepted[through]} votes are accepted", line)
        if self.values and any(a > b for a, b in zip(self.values, values)):
            self._fail("totals-fall", "a total is below that of earlier totals", line)
        self._opened = leaf

    def _check_policy(self, line, definition, before, through):
        """`before` and `through` are the heights of the totals before these, and of these."""
        if definition is None:
            return
        if definition["results"] != "live":
            self._fail("totals-policy", "totals that the results policy forbids", line)
            return
        every = definition["publish_every"]
        new = self._accepted[through] - self._accepted[before]
        held_back = self._accepted[-1] - self._accepted[through]
        if new < every or (every > 1 and held_back < every):
            self._fail("totals-policy", f"{new} new votes with {held_back} held back", line)

    def _check_opening(self, line, leaf, definition, through):
        values = leaf["values"]
        blindings = [ristretto.scalar(bytes.fromhex(text)) for text in leaf["blindings"]]
        count = len(definition["choices"]) + 1 if definition else len(values)
        sums = self._sums[through] or [ristretto.NEUTRAL] * count
        good = len(values) == len(blindings) == count and None not in blindings
        if not good or not all(
            ristretto.equal(ristretto.commit(value, blinding), total)
            for value, blinding, total in zip(values, blindings, sums)
        ):
            self._fail("totals-open", "the totals do not open the sums", line)
