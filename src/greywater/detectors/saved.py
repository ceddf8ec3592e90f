"""Saved detectors: a folder of text and arrays, each file's SHA-256 in detector.json, nothing that executes."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.detectors.detector import Validation
from greywater.errors import DetectorError, StoreError
from greywater.vocab import TrainingTable

__all__ = [
    "pack_arrays",
    "plain",
    "read_folder",
    "refuse_other_columns",
    "refuse_unusable_labels",
    "refuse_unusable_validation",
    "unpack_arrays",
    "write_folder",
]

DESCRIPTION: Final = "detector.json"
VERSION: Final = 1
MEND: Final = "fit the detector again, or bring the folder back from a copy"


def write_folder(folder: Path, kind: str, description: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write the files, then detector.json with the description and the files' SHA-256.

    Each file is written aside and renamed; detector.json comes last, so a folder without it is no detector.

    Raises
    ------
    StoreError
        The disk refuses.
    """
    folder = Path(folder)
    document = {
        "version": VERSION,
        "kind": kind,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        **description,
    }
    text = json.dumps(plain(document), indent=1, allow_nan=False).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)
        for name, content in [*files.items(), (DESCRIPTION, text)]:
            aside = folder / (name + ".part")
            aside.write_bytes(content)
            aside.replace(folder / name)
    except OSError as error:
        raise StoreError(
            f"the detector could not be saved: {error.strerror or error}",
            where=str(folder),
            mend="choose another folder",
        ) from error


def read_folder(folder: Path, kind: str | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description and the verified files that `write_folder` wrote.

    Raises
    ------
    DetectorError
        Something is missing or not what was written, or the folder holds another kind of detector.
    """
    path = Path(folder) / DESCRIPTION
    try:
        document = json.loads(path.read_bytes())
        found, version, hashes = document["kind"], document["version"], dict(document["files"])
    except OSError as error:
        raise DetectorError(
            "there is no saved detector", where=str(path), mend="name a folder that `save` wrote"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DetectorError(f"the description is damaged: {error}", where=str(path), mend=MEND) from error
    if version != VERSION or (kind is not None and found != kind):
        raise DetectorError(
            f"the folder holds a {found!r} detector of version {version}", where=str(path), mend=f"load a {kind!r} one"
        )
    files = {}
    for name, digest in hashes.items():
        place = Path(folder) / Path(name).name
        try:
            content = place.read_bytes()
        except OSError as error:
            raise DetectorError("a file of the detector is missing", where=str(place), mend=MEND) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise DetectorError("the file is not what was written", where=str(place), mend=MEND)
        files[name] = content
    return document, files


def pack_arrays(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Arrays as one npz file; no Python objects."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def unpack_arrays(content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of `pack_arrays`; anything that is no plain array is refused."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, KeyError) as error:
        raise DetectorError(f"the arrays cannot be read: {error}", mend=MEND) from error


def refuse_other_columns(fitted: tuple[str, ...], given: tuple[str, ...], where: str) -> None:
    """Raise a DetectorError unless the columns are the ones the detector learned, in the same order."""
    if fitted == given:
        return
    missing = [name for name in fitted if name not in set(given)]
    unknown = [name for name in given if name not in set(fitted)]
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing ({', '.join(missing[:3])})")
    if unknown:
        parts.append(f"{len(unknown)} unknown ({', '.join(unknown[:3])})")
    found = " and ".join(parts) or "the same, but in another order or repeated"
    raise DetectorError(
        f"the feature columns are not the ones the detector was fitted on: {found}",
        where=where,
        mend="give the feature set the detector's card names, or fit it again",
    )


def refuse_unusable_labels(X: TrainingTable, y: np.ndarray[Any, Any], where: str) -> None:
    """Raise a DetectorError unless y is one 0 or 1 for each row."""
    if y.shape != (X.rows,):
        raise DetectorError(f"{y.shape} labels do not fit {X.rows} rows", where=where, mend="give one label a row")
    if not bool(np.isin(y, (0, 1)).all()):
        raise DetectorError("labels must be 0 or 1", where=where, mend="leave rows without a label out")


def refuse_unusable_validation(X: TrainingTable, validation: Validation | None) -> None:
    """Raise a DetectorError where a validation slice has other columns, or labels that are not one 0 or 1 a row."""
    if validation is not None:
        refuse_other_columns(X.names, validation.X.names, "validation")
        refuse_unusable_labels(validation.X, np.asarray(validation.y), "validation")


def plain(value: Any) -> Any:
    """JSON types only: NumPy scalars become numbers, NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
