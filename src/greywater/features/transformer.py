"""GraphFeatures: the graph features as a scikit-learn transformer, for pipelines and notebooks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from greywater.errors import RefusedValueError, UsageError
from greywater.features.evidence import Evidence
from greywater.features.feature_frames import as_frame
from greywater.features.graph import DEFAULT_CAP, GraphPlan
from greywater.features.graph_evidence import DEFAULT_LIMIT
from greywater.features.graph_parameters import plan_from_parameters, seconds
from greywater.features.graph_state import GraphSnapshot
from greywater.features.payment_input import InputTable, read_input
from greywater.features.payment_reader import PaymentReader
from greywater.features.payment_stream import PaymentStream, StreamFootprint
from greywater.vocab import Float64Array, Int64Array

__all__ = ["GraphFeatures"]

Windows = str | int | Sequence[str | int] | None


class GraphFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What the payments so far say of each payment: fans, rings, chains, scatter-gathers and the like.

    A transformer with a memory. `fit` starts a new graph from past payments, `partial_fit` adds payments without
    working out anything, `transform` adds payments and works out the features of each from what came before it,
    `fit_transform` starts with an empty graph and does the same, `push` takes one payment. However payments are cut
    into blocks, their features are the same bits. The row order is the order of arrival: it decides which of two
    payments of the same time sees the other.

    Parameters
    ----------
    patterns : sequence of str, optional
        Some of "fan", "fan_new", "statistics", "scatter_gather", "gather_scatter", "temporal_cycle", "simple_cycle",
        "chain", "bipartite". None = all.
    fan_windows, statistics_windows, scatter_gather_windows, gather_scatter_windows, temporal_cycle_windows, \
simple_cycle_windows, chain_windows, bipartite_windows : sequence of int or str, optional
        Windows from the shortest to the longest, in seconds or as "90s", "5m", "6h", "3d". None = the defaults: fan
        and statistics 1h, 1d, 7d, 30d; scatter-gather, gather-scatter and bipartite 6h, 3d; cycles 1d, 7d; chains 3d.
        With time_unit="D" 7d, 14d and 30d for all, and simple cycles over 30d stop at 6 payments.
    max_length : int
        Payments of the longest cycle counted, 2 to 16.
    tolerance : float
        How far a hop of a chain may differ from the one before, 0 to 1, in thousandths.
    cap : int
        Visits to payments per payment, pattern and window; where it cuts, a `*.truncated.*` column is 1.
    allowed_lateness : int or str
        How far behind the latest payment one may arrive and still see all of its windows.
    time_column, sender_column, receiver_column, amount_column : str or int
        Name or position. "auto" = event_time, sender, receiver and amount in frames, positions 0 to 3 in arrays; an
        array of three columns has no amounts. amount_column=None: amounts are not known.
    id_column : str or int, optional
        What a payment is called. One that comes again while it is held is answered with its first values. None =
        every row is a new payment.
    time_unit : {"s", "ms", "us", "ns", "D"}
        Unit of times given as numbers since 1970.
    amount_decimals : int
        Decimal places of the currency, 0 to 8: 2 makes 12.5 into 1250 minor units.
    unknown_amounts : {"raise", "keep"}
        Whether a missing amount is an error or a payment of unknown amount.
    keep_input : bool
        Put the columns of the input in front of the features.
    n_threads : int, optional
        Threads for blocks of a thousand payments and more. None = as many as the machine has. Changes no value.

    Attributes
    ----------
    stream_ : PaymentStream
        Everything held.
    n_features_in_ : int
        Columns of the input of `fit`.
    feature_names_in_ : ndarray of str
        Their names, where they have names.

    Examples
    --------
    >>> import numpy as np
    >>> features = GraphFeatures(patterns=["temporal_cycle"], temporal_cycle_windows="1d", max_length=3)
    >>> ring = np.array([[0, 1, 2, 50.0], [60, 2, 3, 50.0], [120, 3, 1, 40.0]])
    >>> values = features.fit_transform(ring)
    >>> dict(zip(features.get_feature_names_out(), values[2].tolist()))["temporal_cycle.length_3.1d"]
    1.0
    """

    def __init__(
        self,
        *,
        patterns: Sequence[str] | None = None,
        fan_windows: Windows = None,
        statistics_windows: Windows = None,
        scatter_gather_windows: Windows = None,
        gather_scatter_windows: Windows = None,
        temporal_cycle_windows: Windows = None,
        simple_cycle_windows: Windows = None,
        chain_windows: Windows = None,
        bipartite_windows: Windows = None,
        max_length: int = 10,
        tolerance: float = 0.2,
        cap: int = DEFAULT_CAP,
        allowed_lateness: int | str = "7d",
        time_column: str | int = "auto",
        sender_column: str | int = "auto",
        receiver_column: str | int = "auto",
        amount_column: str | int | None = "auto",
        id_column: str | int | None = None,
        time_unit: Literal["s", "ms", "us", "ns", "D"] = "s",
        amount_decimals: int = 2,
        unknown_amounts: Literal["raise", "keep"] = "raise",
        keep_input: bool = False,
        n_threads: int | None = None,
    ) -> None:
        self.patterns = patterns
        self.fan_windows = fan_windows
        self.statistics_windows = statistics_windows
        self.scatter_gather_windows = scatter_gather_windows
        self.gather_scatter_windows = gather_scatter_windows
        self.temporal_cycle_windows = temporal_cycle_windows
        self.simple_cycle_windows = simple_cycle_windows
        self.chain_windows = chain_windows
        self.bipartite_windows = bipartite_windows
        self.max_length = max_length
        self.tolerance = tolerance
        self.cap = cap
        self.allowed_lateness = allowed_lateness
        self.time_column = time_column
        self.sender_column = sender_column
        self.receiver_column = receiver_column
        self.amount_column = amount_column
        self.id_column = id_column
        self.time_unit = time_unit
        self.amount_decimals = amount_decimals
        self.unknown_amounts = unknown_amounts
        self.keep_input = keep_input
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any = None) -> GraphFeatures:
        """Start a new graph from past payments, without working out their features.

        Parameters
        ----------
        X : array-like of shape (n, m), pandas.DataFrame, polars.DataFrame, pyarrow.Table or RecordBatch
            Payments in the order in which they became known, at least one.
        y : ignored

        Returns
        -------
        GraphFeatures
            Itself.

        Raises
        ------
        UsageError
            If a parameter cannot be used.
        RefusedValueError, RefusedTypeError
            If a value cannot be used; the message names its row and column. The old graph stays.
        """
        self._begin(X, compute=False)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Start with an empty graph; take the payments in and work out the features of each.

        Parameters, errors and result as for `fit` and `transform`.
        """
        return self._output(*self._begin(X, compute=True))

    def partial_fit(self, X: Any, y: Any = None) -> GraphFeatures:
        """Take payments in without working out their features; starts with an empty graph where there is none.

        Parameters and errors as for `fit`; there may be no rows.
        """
        if hasattr(self, "stream_"):
            self._take(X, compute=False)
        else:
            self._begin(X, compute=False, least=0)
        return self

    def transform(self, X: Any) -> Any:
        """Take payments in and work out the features of each from those before it.

        Parameters
        ----------
        X : as for `fit`
            The next payments; there may be no rows.

        Returns
        -------
        ndarray of shape (n, m_out), or a frame as `set_output` says
            Columns as `get_feature_names_out` names them. Arrays are float64, the columns of a frame int64 and float64;
            NaN = not defined.

        Raises
        ------
        RefusedValueError, RefusedTypeError
            If a value cannot be used; nothing is taken in then.
        EngineError
            If an id belongs to a payment that is no longer held or whose values were never worked out.
        """
        check_is_fitted(self)
        return self._output(*self._take(X, compute=True))

    def push(self, row: Sequence[Any]) -> Float64Array:
        """Take one payment in and work out its features, fast; starts with an empty graph where there is none.

        Parameters
        ----------
        row : sequence
            (time, sender, receiver, amount), and the id where there is an id_column. In this order, whatever the
            columns; an unknown amount is None.

        Returns
        -------
        float64[m_out]
            The features, without columns of the input.

        Raises
        ------
        RefusedValueError, RefusedTypeError, EngineError
            As `transform` does.
        """
        if "stream_" not in self.__dict__:
            self._start(self._make_stream(), self._make_reader())
        return self.stream_.take_one(*self._reader.one(row))

    def evidence(
        self, tx_id: Any, pattern: str, window: int | str | None = None, *, limit: int = DEFAULT_LIMIT
    ) -> Evidence:
        """The payments that form a pattern of a payment that is held, best instances first.

        Parameters
        ----------
        tx_id : str or int
            The payment's id; without an id_column, how many payments were taken in before it.
        pattern : str
            One of `patterns`, but not "statistics".
        window : int or str, optional
            One of the pattern's windows. None = the longest.
        limit : int
            Instances listed at most.

        Returns
        -------
        Evidence
            What the payment saw when it was taken in, however many came after it.

        Raises
        ------
        UsageError
            If the pattern or the window is not looked for.
        RefusedValueError, RefusedTypeError
            If there is no such payment.
        EngineError
            If the payment, or some of what it saw, is no longer held.

        Examples
        --------
        >>> features = GraphFeatures(patterns=["temporal_cycle"])
        >>> _ = features.fit([[0, 1, 2, 50.0], [60, 2, 3, 50.0], [120, 3, 1, 40.0]])
        >>> [(each.role, each.number) for each in features.evidence(2, "temporal_cycle").instances[0].payments]
        [('hop 1', 0), ('hop 2', 1), ('closing payment', 2)]
        """
        check_is_fitted(self)
        length = None if window is None else seconds(window, "window")
        return self.stream_.evidence(tx_id, pattern, length, limit=limit)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the input's columns; must be those of `fit` where these are known.

        Returns
        -------
        ndarray of object (str)
        """
        check_is_fitted(self)
        known = getattr(self, "feature_names_in_", None)
        if input_features is not None and known is not None and list(input_features) != list(known):
            raise RefusedValueError("input_features is not equal to feature_names_in_", mend="leave input_features out")
        names = list(self.stream_.plan.names)
        if self.keep_input:
            if known is None:
                known = input_features if input_features is not None else [f"x{k}" for k in range(self.n_features_in_)]
            names = [*map(str, known), *names]
        return np.array(names, object)

    @property
    def footprint(self) -> StreamFootprint:
        """Payments, accounts and ids held at this moment, and their bytes."""
        check_is_fitted(self)
        return self.stream_.footprint

    def snapshot(self) -> GraphSnapshot:
        """Everything held after the last payment, as plain arrays and JSON values."""
        check_is_fitted(self)
        return self.stream_.snapshot()

    def restore(self, state: GraphSnapshot) -> GraphFeatures:
        """Go on from a snapshot of an estimator of the same parameters. Returns itself.

        Raises
        ------
        SnapshotError
            If the snapshot is of other features.
        """
        stream = self._make_stream()
        stream.restore(state)
        self._start(stream, self.__dict__.get("_reader") or self._make_reader())
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Accounts are categories. Text is taken for accounts and ids only, never for all of X.
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _begin(self, X: Any, *, compute: bool, least: int = 1) -> tuple[InputTable, Int64Array, Float64Array]:
        """Take payments into an empty graph; it takes the old one's place when that went well."""
        stream, reader = self._make_stream(), self._make_reader()
        table = read_input(X)
        if table.rows < least:
            raise RefusedValueError(
                f"Found an input with 0 sample(s) (shape=(0, {table.width})) while a minimum of 1 is required.",
                mend="give a payment; partial_fit, transform and push start with an empty graph",
            )
        reader = reader.fitted(table)
        columns = stream.take(reader.read(table), compute=compute)
        self._start(stream, reader)
        self._know(table)
        return table, *columns

    def _take(self, X: Any, *, compute: bool) -> tuple[InputTable, Int64Array, Float64Array]:
        """Take payments into the graph there is."""
        table = read_input(X)
        if "n_features_in_" in self.__dict__:
            self._check_columns(table)
        else:
            self._know(table)
        return table, *self.stream_.take(self._reader.read(table), compute=compute)

    def _check_columns(self, table: InputTable) -> None:
        names = None if table.names is None else list(table.names)
        known = None if "feature_names_in_" not in self.__dict__ else list(self.feature_names_in_)
        if (names is None or self.keep_input) and table.width != self.n_features_in_:
            raise RefusedValueError(
                f"X has {table.width} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
                "as input",
                mend="give the columns that fit was given",
            )
        if self.keep_input and names is not None and known is not None and names != known:
            raise RefusedValueError(
                "the columns have other names or another order than at fit", mend=f"give {', '.join(known[:20])}"
            )

    def _know(self, table: InputTable) -> None:
        self.n_features_in_ = table.width
        if table.names is not None:
            self.feature_names_in_ = np.array(table.names, object)
        else:
            self.__dict__.pop("feature_names_in_", None)

    def _make_stream(self) -> PaymentStream:
        threads = (os.cpu_count() or 1) if self.n_threads is None else self.n_threads
        if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1:
            raise UsageError(f"n_threads = {threads!r} cannot be used", where="n_threads", mend="give 1 or more")
        return PaymentStream(self._plan(), threads=int(threads), with_ids=self.id_column is not None)

    def _plan(self) -> GraphPlan:
        return plan_from_parameters(self.get_params(deep=False))

    def _make_reader(self) -> PaymentReader:
        names = ("time_column", "sender_column", "receiver_column", "amount_column", "id_column", "time_unit")
        values = {name: getattr(self, name) for name in names}
        return PaymentReader(**values, amount_decimals=self.amount_decimals, unknown_amounts=self.unknown_amounts)

    def _start(self, stream: PaymentStream, reader: PaymentReader) -> None:
        self.stream_, self._reader = stream, reader

    def _output(self, table: InputTable, ints: Int64Array, floats: Float64Array) -> Any:
        asked = getattr(self, "_sklearn_output_config", {}).get("transform")
        plan = self.stream_.plan
        return as_frame(
            asked or get_config()["transform_output"],
            table if self.keep_input else None,
            getattr(table.source, "index", None) if table.names is not None or hasattr(table.source, "iloc") else None,
            (ints, [feature.name for feature in plan.int_features]),
            (floats, [feature.name for feature in plan.float_features]),
        )
