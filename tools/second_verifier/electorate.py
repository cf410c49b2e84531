"""The electors of the shards given: docs/formats.md, sections 1, 3, 4 and 6."""

from hashlib import sha256

import manifest as manifests


class Electorate:
    """Who may vote, by the shards. `folders` are the folders of a roll and of its supplements, each
    with its manifest; OSError means that a file cannot be read."""

    def __init__(self, folders):
        self._folders = {}  # SHA-256 of the manifest in hexadecimal -> folder, manifest
        for folder in folders:
            data = (folder / "manifest.json").read_bytes()
            manifest, message = manifests.parse(data)
            if message is not None:
                raise OSError(f"{folder}/manifest.json: {message}")
            self._folders[sha256(data).hexdigest()] = (folder, manifest)
        self._registered, self._revoked, self._voted = set(), set(), set()
        self._is_keyed = False
        self._is_complete = True

    def load(self, leaf, law_id):
        """Applies the roll or the supplement of a leaf; the message of what is wrong, or None."""
        folder, manifest = self._folders.get(leaf["manifest"], (None, None))
        content = None
        if manifest is not None and manifests.law_of(manifest, law_id) is not None:
            content = manifests.read_folder(manifest, law_id, folder)
        if leaf["parent"] is None:
            self._registered, self._revoked, self._is_complete = set(), set(), True
            self._is_keyed = leaf["scheme"] == "hmac-sha256"
        if content is None:
            self._is_complete = False
            if folder is None:
                return "no folder of shards has this manifest"
            return f"{folder} does not hold what its manifest states for this law"
        if manifest["parent"] is None:
            self._registered |= set(content)
            return None
        return self._supplement(leaf, content)

    def _supplement(self, leaf, content):
        counts = {"added": 0, "revoked": 0, "refused": 0}

        def revoke(key):
            fits = key in self._registered and key not in self._voted
            counts["revoked" if fits else "refused"] += 1
            if fits:
                self._registered.remove(key)
                self._revoked.add(key)
            return fits

        def add(key):
            if key not in self._registered:
                self._registered.add(key)
                self._revoked.discard(key)
                counts["added"] += 1

        for old, new in content["replace"]:
            if revoke(bytes.fromhex(old)):
                add(bytes.fromhex(new))
        for old, new in content["readmit"]:
            if bytes.fromhex(old) in self._revoked:
                add(bytes.fromhex(new))
        for key in content["revoke"]:
            revoke(bytes.fromhex(key))
        for key in content["add"]:
            add(bytes.fromhex(key))
        stated = {key: leaf[key] for key in counts}
        return None if counts == stated else f"the shards give {counts}"

    def vote(self, credential):
        """Takes an accepted or duplicate vote; the message of what is wrong, or None."""
        # Without all shards nothing is known of who was registered.
        if not self._is_complete:
            return None
        key = sha256(credential).digest() if self._is_keyed else credential
        self._voted.add(key)
        if key in self._registered:
            return None
        return "the credential was revoked" if key in self._revoked else "it was never registered"
