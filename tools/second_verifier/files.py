"""The files of a bundle, and the list of what is wrong with them."""

import os
from collections import Counter
from hashlib import sha256
from pathlib import Path

FILE_LENGTH_MAX = 67_108_864  # bytes, of every file but the leaves
LEAF_LINE_LENGTH_MAX = 65_536  # bytes, the line feed included
LISTED_MAX = 100  # failures of one rule that are listed; all are counted
SYSTEM_FILES = (".ds_store", "thumbs.db", "desktop.ini")


class Failures:
    """Calling it adds a failure. `listed` holds dictionaries with `file`, `line` (from 1, or None),
    `rule` and `message`; `counts` holds the number of failures of each rule."""

    def __init__(self):
        self.listed, self.counts = [], Counter()

    def __call__(self, file, rule, message, line=None):
        self.counts[rule] += 1
        if self.counts[rule] <= LISTED_MAX:
            self.listed.append({"file": file, "line": line, "rule": rule, "message": message})

    def concern(self, file):
        """Whether a failure of this file is listed."""
        return any(failure["file"] == file for failure in self.listed)


def is_system_file(name):
    """Whether macOS or Windows puts files of this name into folders (section 13, *Names*)."""
    return name.startswith("._") or name.lower() in SYSTEM_FILES


class Files:
    """The regular files below a folder. `names` are their paths with `/`, ascending; `facts` maps
    the name of each file that was read to its size and its SHA-256 in hexadecimal. What breaks
    `file-kind` or `file-size` goes to `fail`; OSError is for the caller."""

    def __init__(self, folder, fail):
        self.folder, self.fail = Path(folder), fail
        self.facts, self._data = {}, {}
        self.names = sorted(self._list())

    def _list(self):
        names, folders = [], [(self.folder, "")]
        while folders:
            folder, prefix = folders.pop()
            with os.scandir(folder) as found:
                entries = list(found)
            if prefix and not entries:
                self.fail(prefix[:-1], "file-kind", "an empty folder")
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, name + "/"))
                elif not entry.is_file(follow_symlinks=False):
                    self.fail(name, "file-kind", "neither a regular file nor a folder")
                elif not is_system_file(entry.name):
                    names.append(name)
        return names

    def read(self, name):
        """The bytes of a file; None if it is missing or too long."""
        if name not in self._data:
            self._data[name] = self._read(name)
        return self._data[name]

    def _read(self, name):
        if name not in self.names:
            return None
        with open(self.folder / name, "rb") as file:
            data = file.read(FILE_LENGTH_MAX + 1)
        if len(data) > FILE_LENGTH_MAX:
            self.fail(name, "file-size", f"longer than {FILE_LENGTH_MAX} bytes")
            return None
        self.facts[name] = (len(data), sha256(data).hexdigest())
        return data

    def read_lines(self, name, length_max):
        """Gives each line with its line feed, in pieces if it is longer than any leaf. Stops where
        the file is longer than `length_max`."""
        digest, size = sha256(), 0
        with open(self.folder / name, "rb") as file:
            while line := file.readline(2 * LEAF_LINE_LENGTH_MAX):
                size += len(line)
                if size > length_max:
                    self.fail(name, "file-size", f"longer than {length_max} bytes")
                    return
                digest.update(line)
                yield line
        self.facts[name] = (size, digest.hexdigest())
