"""What every online store asks of names and keys, and says in the same words."""

from __future__ import annotations

from typing import Final

from greywater.errors import StoreError, UsageError

__all__ = ["LONGEST_KEY", "LONGEST_SPACE", "bad_key", "closed", "key_checked", "space_bytes"]

#: Bytes a key may have: what LMDB can hold.
LONGEST_KEY: Final = 511
#: Bytes the name of a space may have.
LONGEST_SPACE: Final = 400


def space_bytes(space: str) -> bytes:
    """The name of a space as bytes.

    Raises
    ------
    UsageError
        It is empty, has more than LONGEST_SPACE bytes, or holds half a character.

    Examples
    --------
    >>> space_bytes("risk@1/customer")
    b'risk@1/customer'
    """
    try:
        name = space.encode()
    except UnicodeEncodeError:
        name = b""
    if not name or len(name) > LONGEST_SPACE:
        raise UsageError(
            f"{space[:40]!r} cannot be the name of a space",
            where="online store",
            mend=f"give text of 1 to {LONGEST_SPACE} bytes",
        )
    return name


def key_checked(key: bytes) -> bytes:
    """The key itself, where it can be one.

    Raises
    ------
    UsageError
        It is empty or has more than LONGEST_KEY bytes.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise bad_key()
    return key


def bad_key() -> UsageError:
    """What is said of a key that is empty or too long."""
    return UsageError(
        f"a key is empty or longer than {LONGEST_KEY} bytes", where="online store", mend="hash longer keys"
    )


def closed(where: str) -> StoreError:
    """What is said where a store is used after it was closed."""
    return StoreError("the online store is closed", where=where, mend="open it again")
