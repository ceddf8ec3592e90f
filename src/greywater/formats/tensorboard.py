"""TensorBoard's event files: measures by step and texts, as records that TensorBoard reads, without TensorFlow.

A file is a row of TFRecord frames, each a protocol-buffers message `Event` (tensorboard/compat/proto/event.proto).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from greywater.kernels.crc32c import FRAME_BYTES, TABLES, frame_records

__all__ = ["Scalar", "Words", "encode_events"]

#: The first event of every file says which form it has.
VERSION: Final = "brain.Event:2"
#: The number of DT_STRING in TensorFlow's types.
DT_STRING: Final = 7


@dataclass(frozen=True)
class Scalar:
    """A measure: its tag, such as `boosted/score`, its step, its value and when (seconds since 1970)."""

    tag: str
    step: int
    value: float
    seconds: float


@dataclass(frozen=True)
class Words:
    """A text in Markdown."""

    tag: str
    text: str
    seconds: float


def encode_events(events: Iterable[Scalar | Words], began: float) -> bytes:
    """The bytes of an event file.

    Parameters
    ----------
    events : iterable of Scalar or Words
        In the order in which they are to be read; values are rounded to 32-bit floats, as the format has them.
    began : float
        Seconds since 1970.

    Examples
    --------
    >>> content = encode_events([Scalar("loss", 1, 0.5, 10.0)], 10.0)
    >>> len(content), VERSION.encode() in content, b"loss" in content
    (82, True, True)
    """
    records = [_event(began, 0, _delimited(3, VERSION.encode()))]
    for one in events:
        if isinstance(one, Scalar):
            value = _delimited(1, one.tag.encode()) + b"\x15" + struct.pack("<f", np.float32(one.value))
            records.append(_event(one.seconds, one.step, _summary(value)))
        else:
            records.append(_event(one.seconds, 0, _summary(_text(one))))
    octets = np.frombuffer(b"".join(records), np.uint8)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(one) for one in records], dtype=np.int64)])
    framed = np.empty(len(octets) + FRAME_BYTES * len(records), np.uint8)
    frame_records(octets, bounds, TABLES, framed)
    return framed.tobytes()


def _event(seconds: float, step: int, body: bytes) -> bytes:
    counted = b"\x10" + _varint(step) if step else b""
    return b"\x09" + struct.pack("<d", seconds) + counted + body


def _summary(value: bytes) -> bytes:
    return _delimited(5, _delimited(1, value))


def _text(words: Words) -> bytes:
    """A value of the plugin `text`: a string tensor without dimensions."""
    plugin = _delimited(9, _delimited(1, _delimited(1, b"text")))
    tensor = b"\x08" + _varint(DT_STRING) + _delimited(2, b"") + _delimited(8, words.text.encode())
    return _delimited(1, words.tag.encode()) + _delimited(8, tensor) + plugin


def _delimited(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
