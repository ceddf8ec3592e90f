"""What a source that is no file gives: its rows beyond a mark, batch by batch, and the mark they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

__all__ = ["Mark", "Pull", "RowSource", "WholeAgain"]

#: How far a source was read, in JSON types; what it holds is the source's own affair.
Mark = dict[str, Any]


@dataclass(frozen=True)
class WholeAgain:
    """Why a source had to be read from its beginning although a mark was given."""

    why: str


class Pull(Protocol):
    """Rows on their way out of a source; `mark` may be asked for when the last batch was taken."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        ...

    @property
    def whole_again(self) -> WholeAgain | None:
        """Set where rows that were given before come again."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the person who reads the summary."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, some thousand at a time."""
        ...

    def mark(self) -> Mark | None:
        """How far the source is read now; None where it keeps no mark."""
        ...


class RowSource(Protocol):
    """A database query or a table of someone else's."""

    @property
    def kind(self) -> str:
        """`sql` or `delta`."""
        ...

    @property
    def key(self) -> str:
        """64 hex digits that name the source wherever it is reached from, without any secret."""
        ...

    @property
    def label(self) -> str:
        """Short name for people, usable as a file name, without any secret."""
        ...

    @property
    def resumes(self) -> bool:
        """Whether it is read on from a mark."""
        ...

    def pull(self, mark: Mark | None) -> Pull:
        """Begin to read what lies beyond a mark (None: everything)."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
