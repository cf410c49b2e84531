"""The electors of the shards given: docs/formats.md, sections 1, 3, 4 and 6."""

from hashlib import sha256

import manifest as manifests


class Electorate:
    def __init__(self, folders):
        """`folders` are the folders of a roll and of its supplements, each with its manifest."""
        self.folders = {}
        for folder in folders:
            path = folder / "manifest.json"
            data = path.read_bytes() if path.is_file() else b""
            self.folders[sha256(data).hexdigest()] = folder
        self.registered, self.revoked, self.voted = set(), set(), set()
        self.keyed = False

    def load(self, leaf, manifest, law_id):
        """Applies a roll or a supplement; the message of what is wrong, or None."""
        folder = self.folders.get(leaf["manifest"])
        if folder is None or manifest is None:
            return "no folder of shards has this manifest"
        if manifests.law_of(manifest, law_id) is None:
            return "the manifest does not name this law"
        content = manifests.read_folder(manifest, law_id, folder)
        if content is None:
            return f"{folder} does not hold what its manifest states"
        if leaf["parent"] is None:
            self.registered, self.revoked = set(content), set()
            self.keyed = manifest["scheme"] == "hmac-sha256"
            return None
        return self._supplement(leaf, content)

    def _supplement(self, leaf, content):
        counts = {"added": 0, "revoked": 0, "refused": 0}

        def revoke(key):
            fits = key in self.registered and key not in self.voted
            counts["revoked" if fits else "refused"] += 1
            if fits:
                self.registered.remove(key)
                self.revoked.add(key)
            return fits

        def add(key):
            if key not in self.registered:
                self.registered.add(key)
                self.revoked.discard(key)
                counts["added"] += 1

        for old, new in content["replace"]:
            if revoke(bytes.fromhex(old)):
                add(bytes.fromhex(new))
        for key in content["revoke"]:
            revoke(bytes.fromhex(key))
        for key in content["add"]:
            add(bytes.fromhex(key))
        stated = {key: leaf[key] for key in counts}
        return None if counts == stated else f"the shards give {counts}"

    def vote(self, credential, votes):
        key = sha256(credential).digest() if self.keyed else credential
        if votes:
            self.voted.add(key)
        if key in self.registered:
            return None
        return "revoked" if key in self.revoked else "not registered"
