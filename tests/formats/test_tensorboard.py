"""TensorBoard's event files are read back by TensorBoard itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.formats.tensorboard import Scalar, Words, encode_events

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def read(content: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "events.out.tfevents.1.x").write_bytes(content)
        return accumulator.EventAccumulator(folder, {"scalars": 0, "tensors": 0}).Reload()


@settings(max_examples=20, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=40), st.text(max_size=300))
def test_scalars_and_texts_come_back(values: list[float], text: str) -> None:
    scalars = [Scalar("boosted/score", 10 * k, value, 1_700_000_000.5 + k) for k, value in enumerate(values, 1)]
    read_back = read(encode_events([Words("parameters", text, 5.0), *scalars], 5.0))
    assert read_back.Tags()["scalars"] == ["boosted/score"]  # type: ignore[attr-defined]
    told = [(one.step, one.value, one.wall_time) for one in read_back.Scalars("boosted/score")]  # type: ignore[attr-defined]
    assert told == [(one.step, one.value, one.seconds) for one in scalars]
    (held,) = read_back.Tensors("parameters")  # type: ignore[attr-defined]
    assert held.tensor_proto.string_val[0].decode() == text
    assert read_back.SummaryMetadata("parameters").plugin_data.plugin_name == "text"  # type: ignore[attr-defined]


def test_a_value_is_rounded_to_32_bits_and_a_long_run_keeps_its_steps() -> None:
    found = read(encode_events([Scalar("loss", 2**40, 0.1, 1.0)], 1.0))
    (one,) = found.Scalars("loss")  # type: ignore[attr-defined]
    assert (one.step, one.value) == (2**40, float(np.float32(0.1)))
