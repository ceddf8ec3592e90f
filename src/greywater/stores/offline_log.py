"""The commits of a feature group's Delta table: written so that none is ever torn, and read back with their marks."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores import delta_log, durable

__all__ = ["GroupMark", "read_mark", "settle_log", "write_commit"]

#: What links across file systems that have no hard links answer with.
NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


@dataclass(frozen=True)
class GroupMark:
    """What a commit of ours says of itself: create, append or compact; and what Delta is told by it."""

    kind: str
    mark: Mapping[str, Any]
    adds: tuple[Mapping[str, Any], ...]
    removes: tuple[str, ...]


def write_commit(folder: Path, version: int, mark: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]) -> None:
    """Make actions the commit of that version, durably and whole.

    The lines are written aside and synced before the commit gets its name, so no moment shows a part of one.

    Parameters
    ----------
    folder : Path
        The table.
    version : int
        The one after the last.
    mark : mapping
        JSON values; the numbers of added and removed files are put to it.
    actions : sequence of mapping
        Delta's actions, without the commit info.

    Raises
    ------
    StoreError
        Nothing was committed, unless the disk failed after the commit had its name.
    """
    counted = {
        **mark,
        "adds": sum("add" in action for action in actions),
        "removes": sum("remove" in action for action in actions),
    }
    moment = counted.get("written_us", 0) // 1000
    info = {
        "timestamp": moment,
        "operation": "OPTIMIZE" if counted.get("kind") == "compact" else "WRITE",
        "operationParameters": {},
        "engineInfo": "greywater",
        delta_log.MARK: counted,
    }
    lines = [{"commitInfo": info}, *actions]
    content = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines).encode()
    target = delta_log.commit_path(folder, version)
    temporary = target.with_name(f"{target.name}.{os.getpid()}{durable.TEMPORARY_SUFFIX}")
    try:
        with durable.store_errors(target, "write a commit"):
            temporary.write_bytes(content)
        durable.sync_file(temporary)
        _name(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    durable.sync_folder(target.parent)


def read_mark(folder: Path, version: int) -> GroupMark | None:
    """Read one commit; None where it is empty, cut off or not one of ours."""
    path = delta_log.commit_path(folder, version)
    with durable.store_errors(path, "read a commit"):
        content = path.read_bytes()
    adds: list[Mapping[str, Any]] = []
    removes: list[str] = []
    kinds: set[str] = set()
    mark: Any = None
    try:
        for line in content.decode().splitlines():
            action = json.loads(line)
            kinds |= set(action)
            if "add" in action:
                adds.append(action["add"])
            elif "remove" in action:
                removes.append(str(action["remove"]["path"]))
            elif "commitInfo" in action:
                mark = action["commitInfo"].get(delta_log.MARK)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(mark, dict) or mark.get("adds") != len(adds) or mark.get("removes") != len(removes):
        return None
    kind = str(mark.get("kind"))
    if "metaData" not in kinds if kind == "create" else "txn" not in kinds:
        return None
    return GroupMark(kind, mark, tuple(adds), tuple(removes))


def settle_log(folder: Path, aside: Path, read_only: bool) -> tuple[int | None, list[str]]:
    """Bring the end of the log to a state that can be loaded.

    Returns
    -------
    broken : int or None
        Version of a last commit that could not be read and was moved aside.
    mended : list of str
        What was put right, in sentences.

    Raises
    ------
    StoreDamagedError
        A commit that is not the last one is missing or cannot be read, or the last one, where nothing may be changed.
    """
    found = delta_log.versions(folder)
    delta_log.check_versions(folder, found)
    bad = [version for version in found[-2:] if read_mark(folder, version) is None]
    if bad and bad != found[-1:]:
        raise StoreDamagedError(
            "a commit that is not the last one cannot be read",
            where=str(delta_log.commit_path(folder, bad[0])),
            mend="put that file back from a backup",
        )
    if bad and _is_foreign(folder, bad[0]):
        raise StoreDamagedError(
            "the last commit was made by another program",
            where=str(delta_log.commit_path(folder, bad[0])),
            mend="undo what that program did to this table, then try again; let only Greywater write into its store",
        )
    if read_only:
        if bad:
            raise StoreDamagedError(
                "the last commit is empty or cut off",
                where=str(delta_log.commit_path(folder, bad[0])),
                mend="open the store once for writing: that mends it",
            )
        return None, []
    mended = [f"unfinished file {name} removed" for name in delta_log.remove_temporaries(folder)] if found else []
    if bad:
        durable.move_aside(delta_log.commit_path(folder, bad[0]), aside)
        found = found[:-1]
    if found:
        moved = delta_log.drop_bad_checkpoints(folder, found[-1], aside)
        mended += [f"checkpoint file {name} could not be used: moved to {aside}" for name in moved]
        # A writer that was killed after naming its commit left it visible but perhaps not on the disk.
        durable.sync_file(delta_log.commit_path(folder, found[-1]))
        durable.sync_folder(folder / delta_log.LOG_FOLDER)
    return (bad[0] if bad else None), mended


def _is_foreign(folder: Path, version: int) -> bool:
    """Whether a commit is whole and not one of ours, which all begin with our mark."""
    path = delta_log.commit_path(folder, version)
    with durable.store_errors(path, "read a commit"):
        content = path.read_bytes()
    try:
        actions = [json.loads(line) for line in content.decode().splitlines()]
    except ValueError:
        return False
    return bool(actions) and not any(delta_log.MARK in (action.get("commitInfo") or {}) for action in actions)


def _name(temporary: Path, target: Path) -> None:
    """Give the finished commit its name, unless one of that name is there."""
    with durable.store_errors(target, "name a commit"):
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise StoreError(
                f"commit {target.stem.lstrip('0') or '0'} was made by another program in the meantime",
                where=str(target),
                mend="let only Greywater write into its store",
            ) from None
        except OSError as error:
            if error.errno not in NO_LINKS or target.exists():
                raise
            temporary.rename(target)
