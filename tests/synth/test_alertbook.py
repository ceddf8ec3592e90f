"""The alert book: what it draws, files, determinism; how near the faithful mode comes to the data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from greywater.errors import RefusedValueError, StoreAccessError, StoreDamagedError, UsageError
from greywater.formats.synthaml import is_synthaml, read_alert_transactions
from greywater.synth import alertbook
from greywater.synth.alertbook_blocks import BLOCK, AlertBlock, in_order
from greywater.synth.alertbook_tables import KINDS, AlertTables, read_tables
from tests.synth.alert_sets import NEW_YEAR_2021, QUARTERS, alert_features, kolmogorov_smirnov, made_alerts

FULL = os.environ.get("GREYWATER_FULL") == "1"


def drawn(book: alertbook.AlertBook, alerts: int, seed: int, threads: int = 2) -> AlertTables:
    return read_tables(*book.tables(alerts, seed, threads=threads))


@pytest.fixture(scope="module")
def example() -> alertbook.AlertBook:
    return alertbook.example(7)


@pytest.fixture(scope="module")
def example_tables(example: alertbook.AlertBook) -> AlertTables:
    return drawn(example, 4_000, 1)


def test_the_example_has_the_published_marginals(example_tables: AlertTables) -> None:
    found = example_tables
    assert found.reported.mean() == pytest.approx(0.17, abs=0.02)
    assert len(found.size) / 4_000 == pytest.approx(16_232_955 / 20_000, rel=0.06)
    quarter = (found.day.astype("datetime64[D]").astype("datetime64[M]").astype(int) - 600) // 3
    share = np.bincount(quarter, minlength=8) / 4_000
    np.testing.assert_allclose(share, np.array(QUARTERS) / sum(QUARTERS), atol=0.02)
    kind = np.bincount(found.cell % 4, minlength=4) / len(found.cell)
    assert kind[1] == pytest.approx(0.02, abs=0.004)
    assert (found.cell == 4).mean() == pytest.approx(0.04, abs=0.008)
    assert found.size.mean() == pytest.approx(0, abs=0.05)
    assert found.size.std() == pytest.approx(1, abs=0.05)


def test_transactions_lie_in_the_year_before_their_alert(example_tables: AlertTables) -> None:
    before = example_tables.days_before
    assert before.min() >= 1
    assert before.max() <= 365
    last = np.full(len(example_tables.day), 400)
    np.minimum.at(last, example_tables.alert, before)
    assert (last <= 7).all()


def test_example_seeds_are_different_banks_with_the_same_marginals() -> None:
    one, other = alertbook.example(1), alertbook.example(2)
    assert not np.array_equal(one.parameters.root, other.parameters.root)
    assert np.array_equal(one.parameters.between, other.parameters.between)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_bits_on_any_number_of_threads(example: alertbook.AlertBook, threads: int) -> None:
    alone = example.tables(3 * BLOCK + 7, 11, threads=1)
    assert all(a.equals(b) for a, b in zip(alone, example.tables(3 * BLOCK + 7, 11, threads=threads), strict=True))


def test_no_more_blocks_are_made_than_may_wait(example: alertbook.AlertBook) -> None:
    made: list[int] = []

    def draw(number: int) -> AlertBlock:
        made.append(number)
        return example.parameters.draw(1, number)  # type: ignore[union-attr]

    blocks = in_order(draw, 40 * BLOCK, 2)
    for taken in range(3):
        assert next(blocks).first == taken * BLOCK + 1
        assert len(made) <= taken + 4
    blocks.close()
    assert len(made) < 10


def test_a_shorter_book_is_the_beginning_of_a_longer_one(example: alertbook.AlertBook) -> None:
    short, long = example.tables(BLOCK + 3, 4), example.tables(2 * BLOCK, 4)
    assert short[0].equals(long[0].slice(0, BLOCK + 3))
    assert short[1].equals(long[1].slice(0, short[1].num_rows))
    assert not short[1].equals(example.tables(BLOCK + 3, 5)[1])


def test_rows_come_in_order_of_alert_and_time(example: alertbook.AlertBook) -> None:
    transactions = example.tables(BLOCK + 3, 4)[1]
    wanted = pc.sort_indices(transactions, sort_keys=[("AlertID", "ascending"), ("Timestamp", "ascending")])
    assert transactions.take(wanted)["Timestamp"].equals(transactions["Timestamp"])
    assert pc.unique(transactions["AlertID"]).to_pylist() == list(range(1, BLOCK + 4))


def test_csv_has_the_published_form_and_is_read_back(example: alertbook.AlertBook, tmp_path: Path) -> None:
    written = example.write(tmp_path, 60, 3)
    assert [path.name for path in (written.alerts, written.transactions)] == [
        "synthetic_alerts.csv",
        "synthetic_transactions.csv",
    ]
    alerts = written.alerts.read_text().splitlines()
    assert alerts[0] == "AlertID,Date,Outcome"
    assert alerts[1].split(",")[0] == "1"
    assert {line.split(",")[2] for line in alerts[1:]} <= {"Report", "Dismiss"}
    head, first = written.transactions.read_text().splitlines()[:2]
    assert head == "AlertID,Timestamp,Entry,Type,Size"
    assert len(first.split(",")[1]) == len("2020-01-01 00:00:00")
    assert is_synthaml(written.transactions)
    read = read_alert_transactions(written.transactions)
    assert (read.rejections, len(read.size)) == (0, written.transaction_count)
    assert not list(tmp_path.glob("*.part"))
    tables, direct = read_tables(written.alerts, written.transactions), drawn(example, 60, 3)
    for name in ("day", "reported", "alert", "seconds", "cell", "size"):
        np.testing.assert_array_equal(getattr(tables, name), getattr(direct, name))


def test_parquet_has_the_same_rows(example: alertbook.AlertBook, tmp_path: Path) -> None:
    written = example.write(tmp_path, 7 * BLOCK, 3, form="parquet")
    assert pq.read_metadata(written.transactions).num_rows == written.transaction_count
    tables, direct = read_tables(written.alerts, written.transactions), drawn(example, 7 * BLOCK, 3)
    for name in ("day", "reported", "alert", "seconds", "cell", "size"):
        np.testing.assert_array_equal(getattr(tables, name), getattr(direct, name))
    assert pq.read_table(written.alerts).column_names == ["AlertID", "Date", "Outcome"]


def test_files_are_the_same_bytes_each_time(example: alertbook.AlertBook, tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        one = example.write(tmp_path / "a", BLOCK + 1, 3, form=form, threads=1)  # type: ignore[arg-type]
        other = example.write(tmp_path / "b", BLOCK + 1, 3, form=form, threads=2)  # type: ignore[arg-type]
        assert one.transactions.read_bytes() == other.transactions.read_bytes()
        assert one.alerts.read_bytes() == other.alerts.read_bytes()


def test_a_saved_book_draws_the_same(example: alertbook.AlertBook, tmp_path: Path) -> None:
    example.save(tmp_path)
    again = alertbook.AlertBook.load(tmp_path)
    assert all(a.equals(b) for a, b in zip(example.tables(30, 2), again.tables(30, 2), strict=True))


def test_a_damaged_book_is_refused(example: alertbook.AlertBook, tmp_path: Path) -> None:
    with pytest.raises(StoreAccessError):
        alertbook.AlertBook.load(tmp_path)
    example.save(tmp_path)
    held = bytearray((tmp_path / "alertbook.npz").read_bytes())
    held[len(held) // 2] ^= 1
    (tmp_path / "alertbook.npz").write_bytes(held)
    with pytest.raises(StoreDamagedError, match="not those that were saved"):
        alertbook.AlertBook.load(tmp_path)
    (tmp_path / "alertbook.json").write_text("{}")
    with pytest.raises(StoreDamagedError, match="JSON"):
        alertbook.AlertBook.load(tmp_path)


def test_what_cannot_be_drawn_is_refused(example: alertbook.AlertBook, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 alerts"):
        example.sample(0)
    with pytest.raises(UsageError, match="0 threads"):
        example.sample(5, threads=0)
    with pytest.raises(UsageError, match="no form"):
        example.write(tmp_path, 5, form="xlsx")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no mode"):
        alertbook.fit(made_alerts(50, 5, 1), mode="gan")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="transactions are missing"):
        alertbook.fit(tmp_path)


def test_too_few_alerts_of_an_outcome_are_refused() -> None:
    tables = made_alerts(400, 5, 1)
    few = tables.of_alerts(~tables.reported | (np.cumsum(tables.reported) <= 29))
    with pytest.raises(RefusedValueError, match="29 reported alerts"):
        alertbook.fit(few)


def test_a_full_disk_leaves_no_half_file(example: alertbook.AlertBook, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(StoreAccessError):
        example.write(tmp_path / "taken", 5)
    with pytest.raises(StoreAccessError):
        example.save(tmp_path / "taken")


@pytest.fixture(scope="module")
def data() -> tuple[AlertTables, AlertTables]:
    alerts, rows = (20_000, 200) if FULL else (6_000, 100)
    return made_alerts(alerts, rows, 1, signal=2.0), made_alerts(alerts, rows, 2, signal=2.0)


@pytest.fixture(scope="module")
def faithful(data: tuple[AlertTables, AlertTables]) -> AlertTables:
    return drawn(alertbook.fit(data[0]), len(data[0].day), 5)


def test_sizes_follow_each_type(data: tuple[AlertTables, AlertTables], faithful: AlertTables) -> None:
    for kind in range(len(KINDS)):
        for real in data:
            distance = kolmogorov_smirnov(*(tables.size[tables.cell % 4 == kind] for tables in (faithful, real)))
            assert distance <= 0.03, (kind, distance)


def test_cells_and_rows_follow_the_data(data: tuple[AlertTables, AlertTables], faithful: AlertTables) -> None:
    real = data[0]
    for cell in range(8):
        wanted = (real.cell == cell).mean()
        assert (faithful.cell == cell).mean() == pytest.approx(wanted, rel=0.1, abs=0.002)
    assert len(faithful.size) == pytest.approx(len(real.size), rel=0.05)
    counts = [np.bincount(tables.alert).astype(float) for tables in (real, faithful)]
    assert kolmogorov_smirnov(*counts) < 0.05
    assert kolmogorov_smirnov(faithful.days_before.astype(float), real.days_before.astype(float)) < 0.05
    clocks = [(tables.seconds % 86_400).astype(float) for tables in (real, faithful)]
    assert kolmogorov_smirnov(*clocks) < 0.02


def test_round_amounts_stay_round(data: tuple[AlertTables, AlertTables], faithful: AlertTables) -> None:
    real = data[0]
    values, count = np.unique(real.size[real.cell == 1], return_counts=True)
    for value in values[np.argsort(-count)[:3]]:
        wanted = (real.size[real.cell == 1] == value).mean()
        assert wanted > 0.03
        assert (faithful.size[faithful.cell == 1] == value).mean() == pytest.approx(wanted, abs=0.02)


def train_on(tables: AlertTables, test: AlertTables) -> float:
    features, held_out = alert_features(tables), alert_features(test)
    first, second = tables.day < NEW_YEAR_2021, test.day >= NEW_YEAR_2021
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    model.fit(features[first], tables.reported[first])
    return float(roc_auc_score(test.reported[second], model.predict_proba(held_out[second])[:, 1]))


def test_the_label_signal_is_kept(data: tuple[AlertTables, AlertTables], faithful: AlertTables) -> None:
    real, holdout = data
    trained_on_real, trained_on_drawn = train_on(real, holdout), train_on(faithful, holdout)
    assert trained_on_real > 0.65
    assert trained_on_drawn >= 0.97 * trained_on_real


def test_drawn_alerts_are_no_nearer_to_the_data_than_to_others(
    data: tuple[AlertTables, AlertTables], faithful: AlertTables
) -> None:
    features = [alert_features(tables) for tables in (*data, faithful)]
    scaler = StandardScaler().fit(np.vstack(features[:2]))
    train, holdout, made = (scaler.transform(one) for one in features)
    near = [NearestNeighbors(n_neighbors=1).fit(one).kneighbors(made)[0][:, 0] for one in (train, holdout)]
    assert (near[0] < near[1]).mean() == pytest.approx(0.5, abs=0.03)


def test_no_extreme_size_is_copied(data: tuple[AlertTables, AlertTables], faithful: AlertTables) -> None:
    for cell in range(8):
        real = data[0].size[data[0].cell == cell]
        assert not np.isin([real.max(), real.min()], faithful.size[faithful.cell == cell]).all()


def test_a_cell_that_never_occurs_is_never_drawn() -> None:
    tables = made_alerts(400, 20, 3)
    kept = (tables.cell != 6) & (tables.cell != 2)
    without = AlertTables(
        tables.day, tables.reported, tables.alert[kept], tables.seconds[kept], tables.cell[kept], tables.size[kept]
    )
    found = drawn(alertbook.fit(without), 400, 1)
    assert not np.isin(found.cell, (2, 6)).any()


def test_the_set_without_a_signal_has_none_after_either() -> None:
    real, holdout = made_alerts(3_000, 40, 1, signal=0.0), made_alerts(3_000, 40, 2, signal=0.0)
    made = drawn(alertbook.fit(real), 3_000, 5)
    assert train_on(made, holdout) == pytest.approx(0.5, abs=0.06)


def test_a_fit_is_the_same_from_tables_and_from_files(tmp_path: Path) -> None:
    book = alertbook.fit(made_alerts(400, 20, 3))
    written = book.write(tmp_path, 2 * BLOCK, 9)
    from_files = alertbook.fit(written.alerts, written.transactions)
    as_text = [pa_csv.read_csv(path) for path in (written.alerts, written.transactions)]
    for table in (book.tables(2 * BLOCK, 9), tuple(as_text)):
        fitted = alertbook.fit(*table)
        for name, array in from_files.parameters.arrays().items():
            np.testing.assert_array_equal(array, fitted.parameters.arrays()[name])
    assert isinstance(as_text[0], pa.Table)
