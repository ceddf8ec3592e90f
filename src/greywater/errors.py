"""Every error Greywater raises on purpose.

The tree::

    GreywaterError                      exit code 1
    ├── UsageError                      2   the words or settings cannot be used as given
    │   └── ExtraMissingError           2   an optional dependency is not installed
    ├── InputError                      3   nothing useful could be read from what was given
    │   ├── FormatError                 3   the columns or the encoding are not those of a known format
    │   ├── EmptyInputError             3   there is nothing in the file
    │   ├── RefusedValueError           3   a value of an array or a frame is outside what can be used
    │   └── RefusedTypeError            3   an array, a frame or a value of one is of a kind that cannot be used
    ├── StoreError                      4   the store cannot do what was asked
    │   ├── StoreLockedError            4   another writer holds the ledger
    │   ├── StoreDamagedError           4   a file of the store is not what was written
    │   ├── StoreFullError              4   the disk has no room left
    │   └── StoreAccessError            4   the operating system refuses to read or write
    ├── EngineError                     5   the engine cannot go on
    │   └── SnapshotError               5   a snapshot does not fit or is damaged
    ├── DetectorError                   6   a detector cannot be fitted, loaded or used
    │   └── TrainingCollapsedError      6   a network gives back the same whatever it is given
    └── AccessDeniedError               7   the actor may not do this

Every message says what was found, where, and how to mend it.
"""

from __future__ import annotations

from typing import ClassVar


class GreywaterError(Exception):
    """The root of the tree.

    Parameters
    ----------
    found : str
        What was found, in one sentence.
    where : str, optional
        File, row, column or setting.
    mend : str, optional
        What the reader can do about it.

    Examples
    --------
    >>> str(GreywaterError("the file is empty", where="a.csv", mend="give a file with a header"))
    'the file is empty (a.csv). To mend: give a file with a header.'
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, *, where: str = "", mend: str = "") -> None:
        self.found = found
        self.where = where
        self.mend = mend
        text = found.rstrip(".")
        if where:
            text += f" ({where})"
        if mend:
            text += f". To mend: {mend.rstrip('.')}"
        super().__init__(text + ("." if mend else ""))


class UsageError(GreywaterError):
    """The words or settings cannot be used as given."""

    exit_code: ClassVar[int] = 2


class ExtraMissingError(UsageError):
    """An optional dependency is not installed; the message names the extra."""


class InputError(GreywaterError):
    """Nothing useful could be read from what was given."""

    exit_code: ClassVar[int] = 3


class FormatError(InputError):
    """The columns or the encoding are not those of a known format."""


class EmptyInputError(InputError):
    """There is nothing in the file."""


class RefusedValueError(InputError, ValueError):
    """A value of an array or a frame is outside what can be used."""


class RefusedTypeError(InputError, TypeError):
    """An array, a frame or a value of one is of a kind that cannot be used."""


class StoreError(GreywaterError):
    """The store cannot do what was asked."""

    exit_code: ClassVar[int] = 4


class StoreLockedError(StoreError):
    """Another writer holds the ledger."""


class StoreDamagedError(StoreError):
    """A file of the store is not what was written."""


class StoreFullError(StoreError):
    """The disk has no room left."""


class StoreAccessError(StoreError):
    """The operating system refuses to read or write."""


class EngineError(GreywaterError):
    """The engine cannot go on."""

    exit_code: ClassVar[int] = 5


class SnapshotError(EngineError):
    """A snapshot does not fit the engine or is damaged."""


class DetectorError(GreywaterError):
    """A detector cannot be fitted, loaded or used."""

    exit_code: ClassVar[int] = 6


class TrainingCollapsedError(DetectorError):
    """A network gives back the same whatever it is given, or numbers that are none."""


class AccessDeniedError(GreywaterError):
    """The actor may not do this."""

    exit_code: ClassVar[int] = 7
