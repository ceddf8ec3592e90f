"""Large worlds as files: the same bytes from any threads and chunks, read back by the strict readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greywater.errors import StoreAccessError, UsageError
from greywater.formats.detect import open_source
from greywater.formats.records import read_accounts, read_parties
from greywater.synth.economy import ACH, CURRENCIES, Population, make_population
from greywater.synth.large_world import LargeWorld, make_large_world
from greywater.synth.planned import Planned
from greywater.synth.presets import DAY_SECONDS, world_plan
from greywater.synth.world_files import Form, Kind, id_digits

PLAN = world_plan("hi-small", payments=20_000, accounts=2_000)
FORMS: tuple[Form, ...] = ("amlworld", "amlsim", "own")


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(PLAN)


@pytest.fixture(scope="module")
def planned(population: Population) -> Planned:
    """Ten payments in no order, one of them five days behind the last day, two of a look-alike."""
    rng = np.random.default_rng(5)
    time = PLAN.start + rng.integers(0, PLAN.days * DAY_SECONDS, 10)
    time[3] = PLAN.end + 5 * DAY_SECONDS
    dirty = Planned.of(
        time=time, sender=np.arange(10), receiver=np.arange(10, 20), paid=np.full(10, 123_456_7), paid_currency=0,
        attempt=np.arange(10) // 5, typology=1,
    )  # fmt: skip
    clean = dirty.take(np.arange(2))
    alike = Planned.of(
        time=clean.time + 60, sender=clean.sender, receiver=clean.receiver, paid=clean.paid, paid_currency=1,
        laundering=False, group=0,
    )  # fmt: skip
    return Planned.joined([dirty, alike])


def make(
    folder: Path, planned: Planned, form: Form, kind: Kind = "csv", threads: int = 2, rows: int = 4_096
) -> LargeWorld:
    return make_large_world(
        folder, PLAN, planned=planned, form=form, payments_as=kind, threads=threads, chunk_rows=rows
    )


def read(path: Path) -> pa.Table:
    chunks = list(open_source(path).chunks())
    assert sum(chunk.rejected.num_rows for chunk in chunks) == 0
    return pa.concat_tables([chunk.payments for chunk in chunks])


@pytest.mark.parametrize("form", FORMS)
def test_threads_and_chunks_change_no_byte(tmp_path: Path, planned: Planned, form: Form) -> None:
    worlds = [
        make(tmp_path / f"{threads}-{rows}", planned, form, threads=threads, rows=rows)
        for threads, rows in ((1, 1_000_000), (3, 777), (2, 4_096))
    ]
    for name, path in worlds[0].files.items():
        assert [world.files[name].read_bytes() == path.read_bytes() for world in worlds] == [True] * 3, name
    assert all(np.array_equal(world.rows, worlds[0].rows) for world in worlds)
    other = make_large_world(
        tmp_path / "seed", world_plan("hi-small", payments=20_000, accounts=2_000, seed=8), form=form
    )
    assert other.files["payments"].read_bytes() != worlds[0].files["payments"].read_bytes()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_our_readers_read_every_payment_back(tmp_path: Path, planned: Planned, form: Form, kind: Kind) -> None:
    world = make(tmp_path, planned, form, kind)
    payments = read(world.files["payments"])
    assert payments.num_rows == PLAN.payments
    assert set(payments.column("channel").to_pylist()) >= {"cash", "cheque", "credit_card", "wire"}
    times = payments.column("event_time").cast(pa.int64()).to_numpy()
    assert (np.diff(times) >= 0).all()
    mine = payments.take(pa.array(world.rows))
    if form != "own":
        label = payments.column("label").to_numpy()
        assert label.sum() == 10
        assert label[world.rows].tolist() == world.planned.laundering.astype(int).tolist()
    if form != "amlsim":
        assert set(mine.column("amount").to_pylist()) == {1_234_567}
        assert mine.column("currency").to_pylist() == [("USD", "EUR")[c] for c in world.planned.paid_currency]


@pytest.mark.parametrize("form", FORMS)
def test_csv_and_parquet_say_the_same(tmp_path: Path, planned: Planned, form: Form) -> None:
    tables = [read(make(tmp_path / kind, planned, form, kind).files["payments"]) for kind in ("csv", "parquet")]
    for name in ("sender", "receiver", "amount", "currency", "received_amount", "received_currency", "channel"):
        assert tables[0].column(name).to_pylist() == tables[1].column(name).to_pylist(), name
    assert tables[0].column("event_time").cast(pa.int64()).to_pylist() == [
        value // 1_000_000 * 1_000_000 for value in tables[1].column("event_time").cast(pa.int64()).to_pylist()
    ]


def test_lines_have_amlworlds_form(tmp_path: Path, planned: Planned) -> None:
    world = make(tmp_path, planned, "amlworld")
    lines = world.files["payments"].read_text().split("\n")
    assert world.files["payments"].name == "HI-Small_Trans.csv"
    assert lines[0].split(",")[2] == lines[0].split(",")[4] == "Account"
    dirty = lines[1 + int(world.rows[0])].split(",")
    assert dirty[5:] == ["12345.67", "US Dollar", "12345.67", "US Dollar", "ACH", "1"]
    assert lines[1 + int(world.rows[-1])].startswith("2022/09/16 ")
    for line in lines[1:200]:
        fields = line.split(",")
        assert len(fields) == 11
        assert [fields[1][0], fields[3][0]] == ["0", "0"]
        assert len(fields[2]) == len(fields[4]) == 9
        decimals = 6 if fields[8] == "Bitcoin" else 2
        assert len(fields[7].split(".")[1]) == decimals
        assert fields[6] in CURRENCIES


def test_amlsim_lines_carry_the_alert(tmp_path: Path, planned: Planned) -> None:
    world = make(tmp_path, planned, "amlsim")
    lines = world.files["payments"].read_text().split("\n")
    tails = [lines[1 + row].split(",")[-2:] for row in world.rows.tolist()]
    alerts = np.where(world.planned.laundering, world.planned.attempt, 2).tolist()
    expected = [[str(dirty), str(alert)] for dirty, alert in zip(world.planned.laundering, alerts, strict=True)]
    assert tails == expected
    assert lines[1].endswith(",False,-1")


def test_amlsims_alerts_name_the_typology_of_laundering_alone(tmp_path: Path, planned: Planned) -> None:
    world = make(tmp_path, planned, "amlsim")
    lines = world.files["alert_transactions"].read_text().split("\n")
    assert lines[0] == "alert_id,alert_type,is_sar,tran_id,orig_acct,bene_acct,tx_type,base_amt,tran_timestamp"
    assert len(lines) - 2 == len(planned)
    payments = world.files["payments"].read_text().split("\n")
    for line in lines[1:-1]:
        alert, _, dirty, number, *fields = line.split(",")
        assert payments[int(number)] == ",".join([number, *fields, dirty, alert])
    typologies = read(world.files["payments"]).column("typology").to_pylist()
    assert {row for row, name in enumerate(typologies) if name == "fan-in"} == {
        row for row, dirty in zip(world.rows.tolist(), world.planned.laundering.tolist(), strict=True) if dirty
    }


def test_every_account_and_customer_is_in_its_file(tmp_path: Path, planned: Planned, population: Population) -> None:
    own = make(tmp_path / "own", planned, "own")
    accounts = read_accounts(own.files["accounts"]).rows
    assert set(accounts.column("account").to_pylist()) == {f"{number:09X}" for number in population.number.tolist()}
    customers = read_parties(own.files["parties"]).rows
    assert set(accounts.column("customer").to_pylist()) == set(customers.column("customer").to_pylist())
    payments = read(own.files["payments"])
    assert set(payments.column("sender").to_pylist()) <= set(accounts.column("account").to_pylist())
    published = make(tmp_path / "amlworld", planned, "amlworld")
    named = read_accounts(published.files["accounts"]).rows
    assert named.num_rows == PLAN.accounts
    seen = read(published.files["payments"])
    parties = {*seen.column("sender").to_pylist(), *seen.column("receiver").to_pylist()}
    assert parties <= set(named.column("account").to_pylist())


def test_the_number_of_a_payment_is_its_row(tmp_path: Path, planned: Planned) -> None:
    world = make(tmp_path, planned, "own")
    row = int(world.rows[4])
    line = world.files["payments"].read_text().split("\n")[1 + row]
    assert line.startswith(f"T{row + 1:0{id_digits(PLAN)}d},")
    assert line.split(",")[-1] == "ach"
    assert world.planned.format[4] == ACH


def test_parquet_has_row_groups_of_a_million_whatever_the_chunks_are(tmp_path: Path, planned: Planned) -> None:
    path = make(tmp_path, planned, "amlworld", "parquet", rows=500).files["payments"]
    assert pq.ParquetFile(path).metadata.num_row_groups == 1
    assert list(tmp_path.glob("*.part")) == []


def test_a_world_that_cannot_be_made_is_refused(tmp_path: Path, planned: Planned) -> None:
    with pytest.raises(UsageError, match="no form is called"):
        make_large_world(tmp_path, PLAN, form="other")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one is needed"):
        make_large_world(tmp_path, PLAN, threads=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreAccessError):
        make_large_world(tmp_path / "file" / "below", PLAN)
    with pytest.raises(UsageError, match="leaves no everyday life"):
        make_large_world(tmp_path, world_plan(payments=2_000), planned=Planned.joined([planned] * 100))


def test_a_stopped_world_leaves_no_half_file(tmp_path: Path) -> None:
    class Stop:
        def step(self, name: str, total: int | None = None) -> None: ...

        def advance(self, amount: int) -> None:
            raise KeyboardInterrupt

        def say(self, text: str) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        make_large_world(tmp_path, PLAN, chunk_rows=1_000, progress=Stop())
    assert not list(tmp_path.glob("*_Trans*"))
