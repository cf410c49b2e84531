"""The Merkle tree of RFC 6962 section 2.1, grown leaf by leaf."""

from hashlib import sha256


class Tree:
    """A tree that grows; it holds the roots of its perfect subtrees only."""

    def __init__(self):
        self.size = 0
        self._peaks = []  # (leaves, hash) of complete subtrees, the largest first

    def push(self, leaf):
        """Adds the bytes of a leaf."""
        node = (1, sha256(b"\0" + leaf).digest())
        while self._peaks and self._peaks[-1][0] == node[0]:
            left = self._peaks.pop()
            node = (2 * node[0], sha256(b"\1" + left[1] + node[1]).digest())
        self._peaks.append(node)
        self.size += 1

    def root(self):
        """The root, 32 bytes."""
        if not self._peaks:
            return sha256(b"").digest()
        root = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            root = sha256(b"\1" + left + root).digest()
        return root
