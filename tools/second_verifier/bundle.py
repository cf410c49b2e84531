"""A bundle as a folder, checked by every rule of section 13 of docs/formats.md."""

import re
from hashlib import sha256

import leaves as forms
import manifest as manifests
import note
import policy as policies
import results
from electorate import Electorate
from files import FILE_LENGTH_MAX, LEAF_LINE_LENGTH_MAX, Failures, Files
from log import Log
from note import Malformed

ALWAYS = ("leaves.jsonl", "checkpoint", "policy", "README.md", "index.json")
RESULTS = ("results.json", "results.csv", "results.nist.json")
MANIFEST_NAME = re.compile(r"manifests/([0-9a-f]{64})\.json")
INDEX = forms.table(
    format=forms.one_of("votekit-bundle/1"),
    law_id=forms.law_id,
    files=forms.list_of(
        forms.table(file=forms.text, size=forms.count, sha256=forms.hexadecimal(32))),
)


class Verification:
    """The verification of one bundle. `pinned` is the bytes of a policy, `fingerprint` the SHA-256
    of one in hexadecimal; both are None when nothing is pinned. `shards` are the folders of a roll
    and its supplements. What is wrong is in `fail`; OSError means that a file cannot be read."""

    def __init__(self, folder, pinned=None, fingerprint=None, shards=()):
        self.fail = Failures()
        self.files = Files(folder, self.fail)
        self.pinned, self.fingerprint = pinned, fingerprint
        self.shards = shards
        self.policy = self.checkpoint = self.log = None
        self.cosigned = {}
        self._check()

    @property
    def verdict(self):
        """VERIFIED, FAILED, or CONSISTENT when nothing is pinned and nothing is wrong."""
        if self.fail.counts:
            return "FAILED"
        pinned = self.pinned is not None or self.fingerprint is not None
        return "VERIFIED" if pinned else "CONSISTENT"

    def _check(self):
        self._check_policy()
        self._check_checkpoint()
        self._check_log()
        self._check_names()
        if self.log.definition is not None:
            self._check_derived()
            self._check_index()

    def _check_policy(self):
        data = self.files.read("policy")
        if data is not None:
            try:
                self.policy = policies.parse(data)
            except Malformed as error:
                self.fail("policy", "policy-form", str(error))
            pinned_bytes = self.pinned is not None and data != self.pinned
            if pinned_bytes or self.fingerprint not in (None, sha256(data).hexdigest()):
                self.fail("policy", "policy-pinned", "not the policy that was pinned")
        if self.pinned is not None:
            # Never the bundle's own in its place: its maker chose that one.
            self.policy = None
            try:
                self.policy = policies.parse(self.pinned)
            except Malformed as error:
                self.fail("policy", "policy-form", f"the policy that was pinned: {error}")

    def _check_checkpoint(self):
        data = self.files.read("checkpoint")
        if data is None:
            return
        try:
            self.checkpoint = note.parse(data)
        except Malformed as error:
            self.fail("checkpoint", "checkpoint", str(error))
            return
        if self.policy is not None:
            wrong, self.cosigned = note.check_signatures(self.checkpoint, self.policy)
            for message in wrong:
                self.fail("checkpoint", "checkpoint", message)

    def _read_manifests(self):
        """The manifests that can be read, by the SHA-256 of their bytes in hexadecimal."""
        found = {}
        for name in self.files.names:
            match = MANIFEST_NAME.fullmatch(name)
            data = self.files.read(name) if match else None
            if data is None:
                continue
            digest = sha256(data).hexdigest()
            if digest != match[1]:
                self.fail(name, "manifest", f"the file has the SHA-256 {digest}")
            manifest, message = manifests.parse(data)
            if message is not None:
                self.fail(name, "manifest", message)
            else:
                found[digest] = manifest
        return found

    def _check_log(self):
        found = self._read_manifests()
        name = "leaves.jsonl"
        self.log = Log(
            lambda line, rule, message: self.fail(name, rule, message, line), found,
            self.policy.authorities if self.policy else None,
            Electorate(self.shards) if self.shards else None)
        size = self.checkpoint.size if self.checkpoint else FILE_LENGTH_MAX
        length_max = size * LEAF_LINE_LENGTH_MAX
        is_there = name in self.files.names
        for line in self.files.read_lines(name, length_max) if is_there else ():
            whole = line.endswith(b"\n")
            data = line[:-1] if whole else line
            self.log.push(data, forms.parse(data) if whole else None)
        self.log.end()
        if self.checkpoint is not None:
            self._check_head()

    def _check_head(self):
        log, checkpoint = self.log, self.checkpoint
        if self.policy is not None and not self.policy.is_reached(
                self.cosigned, log.witness_waiver is not None):
            message = f"{len(self.cosigned)} cosignatures, which is not a quorum of the policy"
            self.fail("checkpoint", "checkpoint", message)
        if (checkpoint.size, checkpoint.root) != (log.tree.size, log.tree.root()):
            self.fail("leaves.jsonl", "root", "not the leaves of the checkpoint")
        if log.sealed_at is not None:
            for key, second in self.cosigned.items():
                if second < log.sealed_at * 60 - 60:
                    self.fail("checkpoint", "cosignature-time", f"{key.name} cosigned at {second}")
        if self.policy is not None:
            self._check_origin()

    def _check_origin(self):
        definition, base = self.log.definition, self.policy.base
        if definition is None:
            self.fail("checkpoint", "origin", "the log defines no election")
            return
        test = "" if definition["binding"] else "test/"
        if self.checkpoint.origin != f"{base}/{test}{definition['law_id']}":
            self.fail(
                "checkpoint", "origin", f"{self.checkpoint.origin} is not the log of this election")
        if definition["binding"] and (base == "test" or base.endswith("/test")):
            self.fail("checkpoint", "origin", "a binding election in a log of tests")

    def _check_names(self):
        """Which files must be there, and which may be."""
        names = set(self.files.names)
        expected = set(ALWAYS)
        if self.log.totals.any_opened:
            expected.update(RESULTS)
        for name in sorted(expected - names):
            self.fail(name, "file-missing", "the file is missing")
        for digest, line in self.log.rolls.named.items():
            name = f"manifests/{digest}.json"
            expected.add(name)
            if name not in names:
                self.fail(
                    name, "manifest", f"line {line} of the log names it, and it is missing")
        for name in sorted(names - expected):
            self.fail(name, "file-extra", "the file does not belong to this bundle")

    def _result_facts(self):
        """What `results` derives files from (section 12), or None before totals are opened."""
        log = self.log
        facts = log.at_close or log.result_facts()
        count = len(log.definition["choices"]) + 1
        if facts["values"] is None or len(facts["values"]) != count or facts["updated_at"] is None:
            return None
        return {**facts, "definition": log.definition, "state": log.state}

    def _check_derived(self):
        log = self.log
        derived = {"README.md": results.readme(
            log.definition, log.state, log.rolls.registered, log.tree.size, log.totals.any_opened)}
        facts = self._result_facts()
        if facts is not None:
            derived["results.json"] = results.results_json(facts)
            derived["results.csv"] = results.results_csv(facts)
            derived["results.nist.json"] = results.results_nist(facts)
        for name, data in derived.items():
            found = self.files.read(name)
            if found is not None and found != data:
                self.fail(name, "derived", "not what follows from the log")
        if log.certified is not None:
            line, digest = log.certified
            data = derived.get("results.json")
            if data is None or sha256(data).hexdigest() != digest:
                self.fail("leaves.jsonl", "certified", "not the digest of results.json", line)

    def _check_index(self):
        data = self.files.read("index.json")
        if data is None:
            return
        law_id = self.log.definition["law_id"]
        facts = {name: fact for name, fact in self.files.facts.items() if name != "index.json"}
        if data == results.index(law_id, facts):
            return
        stated = forms.read_json(data, forms.pretty)
        if stated is None or not INDEX(stated):
            self.fail("index.json", "index", "not an index in its canonical form")
            return
        rows = {row["file"]: (row["size"], row["sha256"]) for row in stated["files"]}
        changed = [
            name for name, fact in facts.items()
            if rows.get(name, fact) != fact and self.fail.concern(name)]
        for name in changed:
            self.fail(name, "file-changed", "not as index.json states")
        if not changed or len(rows) != len(facts):
            self.fail("index.json", "index", "it does not state the files that are there")
