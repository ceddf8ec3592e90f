"""A small fit of a detector on made feature rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from greywater.app.fitting import Fitted
from greywater.app.split import Split
from greywater.app.truth import Truth
from greywater.config import Settings
from greywater.features.engine import Footprint
from greywater.pipeline.replay import Replayed
from greywater.stores.blocks import TableRows


def small_fit(fit: Callable[..., Fitted], settings: Settings) -> Fitted:
    """Fit on 3,000 rows of which 150 are laundering and partly told by one column."""
    draw = np.random.default_rng(3)
    n = 3_000
    y = (np.arange(n) % 20 == 0).astype(np.int64)
    rows = TableRows(pa.table({"telling": draw.normal(size=n) + 2.0 * y, "noise": draw.normal(size=n)}))
    codes = np.zeros(n, np.int32)
    replayed = Replayed(np.arange(n), np.arange(n), codes, codes, ("a",), n, Footprint(0, 0, 0, 1, 0))
    split = Split(train=1_800, validation=2_400, alerting=2_400, rows=n)
    return fit(rows, replayed, Truth(y, {}, by_account=False), split, settings)
