"""The rules of rolls and supplements: docs/formats.md, sections 6 (*Rolls*) and 13."""

import manifest as manifests

CODE_LENGTH_MIN = 8  # characters of an access code of a binding election


class Rolls:
    """The rolls of a log. `fail(rule, message)` takes failures; `manifests` maps SHA-256 in
    hexadecimal to the manifests of the bundle; `electorate` is None without shards."""

    def __init__(self, fail, manifests, electorate):
        self._fail, self._manifests, self._electorate = fail, manifests, electorate
        self._root = None  # the manifest of the roll in effect
        self._in_effect = []  # the leaves of that roll and its supplements
        self.named = {}  # manifest -> line of the first leaf that names it
        self.registered = 0

    def take(self, leaf, state, definition, line):
        """Takes a `roll` leaf."""
        self.named.setdefault(leaf["manifest"], line)
        is_roll = leaf["parent"] is None
        if not (self._roll_follows if is_roll else self._supplement_follows)(leaf, state):
            self._fail("roll-chain", "this roll or supplement does not follow here")
        if is_roll:
            # What came before has no effect any more.
            self._root, self._in_effect, self.registered = leaf["manifest"], [], 0
        self._in_effect.append(leaf)
        self.registered += leaf["loaded"] + leaf["added"] - leaf["revoked"]
        manifest = self._manifests.get(leaf["manifest"])
        law_id = definition["law_id"] if definition else None
        if manifest is not None:
            self._check_manifest(leaf, manifest, law_id)
        if definition is not None and definition["binding"] and state == "open":
            self._check_binding_roll(leaf)
        if self._electorate is not None and law_id is not None:
            message = self._electorate.load(leaf, law_id)
            if message is not None:
                self._fail("electorate", message)

    def _roll_follows(self, leaf, state):
        return state == "draft" and leaf["replaces"] == self._root

    def _supplement_follows(self, leaf, state):
        if not self._in_effect:
            return False
        before = self._in_effect[-1]
        return (
            state in ("draft", "open") and leaf["replaces"] is None
            and leaf["parent"] == before["manifest"] and leaf["scheme"] == before["scheme"])

    def _check_manifest(self, leaf, manifest, law_id):
        if (leaf["scheme"], leaf["parent"]) != (manifest["scheme"], manifest["parent"]):
            self._fail("roll-counts", "scheme or parent is not that of the manifest")
        law = manifests.law_of(manifest, law_id)
        if law is None:
            self._fail("roll-counts", "the manifest does not name this law")
            return
        if manifest["parent"] is None:
            counts = (leaf["loaded"], leaf["added"], leaf["revoked"], leaf["refused"])
            agrees = counts == (law["registered"], 0, 0, 0)
        else:
            agrees = (
                leaf["loaded"] == 0 and leaf["added"] <= law["registered"]
                and leaf["revoked"] + leaf["refused"] == law["revoked"])
        if not agrees:
            self._fail("roll-counts", "not what the manifest counts")

    def check_binding(self):
        """What a binding election asks of the rolls in effect at its opening."""
        if not self._in_effect:
            self._fail("binding", "no roll is loaded")
        for leaf in self._in_effect:
            self._check_binding_roll(leaf)

    def _check_binding_roll(self, leaf):
        if leaf["scheme"] != "hmac-sha256":
            self._fail("binding", "a roll without a pepper")
        manifest = self._manifests.get(leaf["manifest"])
        # Where no credential was hashed, as in a supplement that only revokes, it is 0.
        shortest = manifest["roll"]["code_length_min"] if manifest else 0
        if 0 < shortest < CODE_LENGTH_MIN:
            self._fail("binding", f"an access code of {shortest} characters")
