"""A bundle as a folder, checked by every rule of section 13 of docs/formats.md."""

import os
from collections import Counter
from hashlib import sha256
from pathlib import Path

import leaves as forms
import manifest as manifests
import note
import policy as policies
import results
from electorate import Electorate
from log_rules import Log
from note import Malformed

FILE_MAX, POLICY_MAX, CHECKPOINT_MAX = 67_108_864, 262_144, 1_048_576
LEAF_SLOT = 65_536
ALWAYS = ("leaves.jsonl", "checkpoint", "policy", "README.md", "index.json")
RESULTS = ("results.json", "results.csv", "results.nist.json")
KEPT = 100  # failures of one rule that are listed; all are counted


class Failures:
    def __init__(self):
        self.listed, self.counts = [], Counter()

    def __call__(self, file, rule, message, line=None):
        self.counts[rule] += 1
        if self.counts[rule] <= KEPT:
            self.listed.append({"file": file, "line": line, "rule": rule, "message": message})


class Files:
    """The files of a bundle by name, sizes and digests read once."""

    def __init__(self, folder, fail):
        self.folder, self.fail = Path(folder), fail
        self.names, self.facts, self._data = [], {}, {}
        self._walk(self.folder, "")
        self.names.sort()

    def _walk(self, folder, prefix):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        if prefix and not entries:
            self.fail(prefix[:-1], "file-kind", "an empty folder")
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                self._walk(entry.path, name + "/")
            elif entry.is_file(follow_symlinks=False):
                self.names.append(name)
            else:
                self.fail(name, "file-kind", "neither a regular file nor a folder")

    def read(self, name, longest=FILE_MAX):
        """The bytes, or None if the file is not there or is too long."""
        if name not in self._data:
            self._data[name] = self._read(name, longest)
        return self._data[name]

    def _read(self, name, longest):
        if name not in self.names:
            return None
        with open(self.folder / name, "rb") as file:
            data = file.read(longest + 1)
        if len(data) > longest:
            self.fail(name, "file-size", f"longer than {longest} bytes")
            return None
        self.facts[name] = (len(data), sha256(data).hexdigest())
        return data

    def read_lines(self, name, longest):
        """Each line with its line feed; the file is read in parts, and its digest made."""
        digest, size = sha256(), 0
        with open(self.folder / name, "rb") as file:
            while line := file.readline(2 * LEAF_SLOT):
                size += len(line)
                if size > longest:
                    self.fail(name, "file-size", f"longer than {longest} bytes")
                    return
                digest.update(line)
                yield line
        self.facts[name] = (size, digest.hexdigest())


class Verification:
    def __init__(self, folder, pinned=None, fingerprint=None, shards=()):
        self.fail = Failures()
        self.files = Files(folder, self.fail)
        self.pinned, self.fingerprint = pinned, fingerprint
        self.shards = shards
        self.policy = self.checkpoint = self.log = None
        self.times = {}
        self._check()

    @property
    def verdict(self):
        if self.fail.counts:
            return "FAILED"
        pinned = self.pinned is not None or self.fingerprint is not None
        return "VERIFIED" if pinned else "CONSISTENT"

    def _check(self):
        for name in ALWAYS:
            if name not in self.files.names:
                self.fail(name, "file-missing", "a bundle has this file")
        self._check_policy()
        self._check_checkpoint()
        named = self._check_log()
        expected = {*ALWAYS, *named}
        if self.log is not None and self.log.any_totals:
            expected |= set(RESULTS)
        for name in self.files.names:
            if name not in expected:
                self.fail(name, "file-extra", "a bundle of this log has no such file")
        for name in sorted(expected - set(ALWAYS) - set(self.files.names)):
            self.fail(name, "file-missing", "the log asks for this file")
        if self.log is not None and self.log.definition is not None:
            self._check_derived()
            self._check_index()

    def _check_policy(self):
        data = self.files.read("policy", POLICY_MAX)
        own = self._parse_policy("policy", data) if data is not None else None
        if self.pinned is not None:
            if data is not None and data != self.pinned:
                self.fail("policy", "policy-pinned", "not the policy that was pinned")
            self.policy = self._parse_policy("the pinned policy", self.pinned)
        else:
            self.policy = own
            if self.fingerprint is not None and data is not None:
                if sha256(data).hexdigest() != self.fingerprint:
                    self.fail("policy", "policy-pinned", "not the fingerprint that was pinned")

    def _parse_policy(self, name, data):
        try:
            return policies.parse(data)
        except Malformed as error:
            self.fail(name, "policy-form", str(error))
            return None

    def _check_checkpoint(self):
        data = self.files.read("checkpoint", CHECKPOINT_MAX)
        if data is None:
            return
        try:
            self.checkpoint = note.parse(data)
        except Malformed as error:
            self.fail("checkpoint", "checkpoint", str(error))
            return
        if self.policy is not None:
            wrong, self.times = note.check_signatures(self.checkpoint, self.policy)
            for message in wrong:
                self.fail("checkpoint", "checkpoint", message)

    def _read_manifests(self):
        found = {}
        for name in self.files.names:
            if not name.startswith("manifests/"):
                continue
            data = self.files.read(name)
            stem = name[len("manifests/"):-len(".json")]
            if data is None or name != f"manifests/{sha256(data).hexdigest()}.json":
                self.fail(name, "manifest", "not named by the SHA-256 of its bytes")
                continue
            manifest, message = manifests.parse(data)
            if message:
                self.fail(name, "manifest", message)
            if manifest is not None:
                found[stem] = manifest
        return found

    def _check_log(self):
        """Follows the log; the names of the manifests that it names."""
        found = self._read_manifests()
        name = "leaves.jsonl"
        if name not in self.files.names:
            return set()
        electorate = Electorate(self.shards) if self.shards else None
        leaders = self.policy.witnesses if self.policy else {}
        self.log = Log(
            lambda line, rule, message: self.fail(name, rule, message, line), found, leaders,
            electorate)
        longest = self.checkpoint.size * LEAF_SLOT if self.checkpoint else FILE_MAX
        for line in self.files.read_lines(name, longest):
            whole = line.endswith(b"\n")
            data = line[:-1] if whole else line
            self.log.push(data, forms.parse(data) if whole else None)
        self.log.end()
        named = set()
        for line, digest in self.log.named_manifests:
            file = f"manifests/{digest}.json"
            named.add(file)
            if digest not in found:
                self.fail(file, "manifest", "the log names it, and it is not there", line)
        self._check_head()
        return named

    def _check_head(self):
        log, checkpoint = self.log, self.checkpoint
        if checkpoint is not None:
            if (checkpoint.size, checkpoint.root) != (log.tree.size, log.tree.root()):
                self.fail("leaves.jsonl", "root", "not the leaves of the checkpoint")
            if log.sealed_at is not None:
                for name, time in self.times.items():
                    if time < log.sealed_at * 60 - 60:
                        self.fail("checkpoint", "cosignature-time", f"{name} cosigned at {time}")
        if self.policy is not None and log.definition is not None:
            self._check_origin()

    def _check_origin(self):
        definition, base = self.log.definition, self.policy.base
        test = "" if definition["binding"] else "test/"
        if self.policy.origin != f"{base}/{test}{definition['law_id']}":
            self.fail("policy", "origin", f"{self.policy.origin} is not the log of this election")
        if definition["binding"] and (base == "test" or base.endswith("/test")):
            self.fail("policy", "origin", "a binding election in a log of tests")

    def _result_facts(self):
        log = self.log
        facts = log.at_close or log.result(log.tree.root())
        totals = facts["totals"]
        count = len(log.definition["choices"]) + 1
        if totals is None or len(totals["values"]) != count or facts["updated_at"] is None:
            return None
        closed = log.closes if log.closing_seen else None
        return {**facts, "definition": log.definition, "state": log.state, "opened": log.opened,
                "closed": closed, "values": totals["values"]}

    def _check_derived(self):
        log = self.log
        derived = {"README.md": results.readme(
            log.definition, log.state, log.registered, log.tree.size, log.any_totals)}
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
        for name in self.files.names:
            self.files.read(name) if name not in self.files.facts else None
        facts = {name: fact for name, fact in self.files.facts.items() if name != "index.json"}
        if data == results.index(self.log.definition["law_id"], facts):
            return
        self.fail("index.json", "derived", "not what follows from the files")
        stated = forms.read_json(data, forms.pretty)
        row = forms.table(file=forms.text, size=forms.count, sha256=forms.hexadecimal(32))
        shape = forms.table(
            format=forms.one_of("votekit-bundle/1"), law_id=forms.text, files=forms.list_of(row))
        if stated is None or not shape(stated):
            self.fail("index.json", "index", "not in its canonical form")
            return
        listed = {row["file"]: (row["size"], row["sha256"]) for row in stated["files"]}
        if list(listed) != sorted(facts, key=os.fsencode) or len(listed) != len(stated["files"]):
            self.fail("index.json", "index", "it does not list every other file, in order")
        if stated["law_id"] != self.log.definition["law_id"]:
            self.fail("index.json", "index", "another law")
        for name, fact in facts.items():
            if name in listed and listed[name] != fact:
                self.fail(name, "file-changed", "not as index.json states")
