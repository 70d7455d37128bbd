"""What must not be read where it passes, sealed with a key that lives as long as a run.

References of videos travel through Ray, which keeps what it carries in shared memory and, where
that is short, on disks; so what signs a URL travels sealed. The key goes to the workers apart, in
the plan of their stage, and is written nowhere.
"""

import os
from base64 import urlsafe_b64encode
from functools import lru_cache

__all__ = ["Seal", "own_seal"]

KEY_BYTES = 32


class Seal:
    """A key. No dataclass: what it is made of must not show where settings are shown."""

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def key(self) -> str:
        """For the one process that is to open what is sealed."""
        return self._key

    def close(self, text: str) -> str:
        """The text, sealed."""
        from cryptography.fernet import Fernet  # whoever signs nothing need not wait for it

        return Fernet(self._key).encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Inverse of :meth:`close`.

        Raises:
            ValueError: if it was sealed with another key.
        """
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(self._key).decrypt(sealed).decode()
        except InvalidToken:
            raise ValueError(
                "a signature was sealed by another run; list its source anew"
            ) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seal) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return "Seal()"


@lru_cache(maxsize=1)
def own_seal() -> Seal:
    """This process's."""
    return Seal(urlsafe_b64encode(os.urandom(KEY_BYTES)).decode())
