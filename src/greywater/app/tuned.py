"""What a study found best, kept in the project so that `greywater train --tuned` uses it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from greywater.detectors.saved import plain
from greywater.detectors.search_space import SearchSpace, Value
from greywater.errors import DetectorError, StoreDamagedError, UsageError
from greywater.stores.durable import make_folder, write_whole_text

__all__ = ["Tuned", "checked_name", "read_tuned", "tuned_names", "write_tuned"]

#: Folder of a project.
HOME: Final = "tuned"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Tuned:
    """The best parameters that a study has found so far.

    Parameters
    ----------
    study, detector : str
        Names.
    parameters : mapping
        Of that detector; the others keep their defaults.
    score : float
        Average precision on the validation slice, which chose them: no estimate of what will come.
    default_score : float or None
        That of the defaults in the same study, where they were tried to the end.
    trial : int
        Number of the trial.
    trials : int
        Trials the study had then.
    space : SearchSpace
    facts : mapping
        Data, columns, labels and cuts that it was found on.
    """

    study: str
    detector: str
    parameters: dict[str, Value]
    score: float
    default_score: float | None
    trial: int
    trials: int
    space: SearchSpace
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        found: dict[str, Any] = plain({**asdict(self), "space": self.space.to_json()})
        return found

    def in_short(self) -> dict[str, Any]:
        """What a model that uses it says on its card, in JSON types."""
        return {
            "study": self.study, "trial": self.trial, "trials": self.trials, "score": self.score,
            "parameters": dict(self.parameters),
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """What `to_json` gave."""
        return cls(**{**document, "space": SearchSpace.from_json(document["space"])})


def checked_name(name: str) -> str:
    """The name of a study, if it can be the name of a file.

    Examples
    --------
    >>> checked_name("trees-2024")
    'trees-2024'
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a study",
            where="--name",
            mend="use up to 63 letters, digits, - and _, beginning with a letter or digit",
        )
    return name


def write_tuned(folder: Path, tuned: Tuned) -> Path:
    """Keep it in the project whose folder this is; an earlier one of the same study is replaced."""
    make_folder(folder / HOME)
    path = folder / HOME / f"{tuned.study}.json"
    write_whole_text(path, json.dumps(tuned.to_json(), indent=1, allow_nan=False) + "\n", "keep what was tuned")
    return path


def read_tuned(folder: Path, study: str) -> Tuned:
    """What was found best by the study of that name.

    Raises
    ------
    DetectorError
        No such study found anything in this project.
    StoreDamagedError
        The file is not what was written.
    """
    path = folder / HOME / f"{checked_name(study)}.json"
    if not path.is_file():
        known = ", ".join(tuned_names(folder))
        raise DetectorError(
            f"no study named {study!r} has found parameters in this project",
            where=str(path.parent),
            mend=f"tune first: greywater tune{f'; there are {known}' if known else ''}",
        )
    try:
        tuned = Tuned.from_json(json.loads(path.read_text(encoding="utf-8")))
        tuned.space.refuse_others(tuned.parameters)
    except (ValueError, TypeError, KeyError, DetectorError) as error:
        raise StoreDamagedError(
            f"what was tuned cannot be read: {error}", where=str(path), mend="tune again: greywater tune"
        ) from error
    return tuned


def tuned_names(folder: Path) -> list[str]:
    """Names of the studies that found parameters in a project."""
    return sorted(path.stem for path in (folder / HOME).glob("*.json"))
