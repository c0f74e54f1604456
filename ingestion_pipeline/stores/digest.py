"""The digest and the length of bytes that pass by."""

import hashlib


class Digest:
    """Takes bytes, and keeps nothing else of them."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> None:
        """Take some bytes."""
        self._digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Hex digest of all bytes so far."""
        return self._digest.hexdigest()
