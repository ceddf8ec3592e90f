"""One model of boosted trees for each laundering shape: how likely is each, and which is it most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.part_scores import PartScores
from greywater.detectors.saved import MEND, read_folder, write_folder
from greywater.errors import DetectorError
from greywater.vocab import Int64Array, Progress, TrainingTable

__all__ = ["BoostedTypologies"]

KIND: Final = "typologies"


class BoostedTypologies:
    """Boosted trees for each typology that has labels enough: a guess at the shape, beside the detector that ranks.

    The model of one typology learns it against honest payments; laundering of other shapes is left out of its training
    slice (weight 0). On the validation slice, where the model is stopped and calibrated, other shapes count as not this
    one, so that its probability is of this shape.

    Parameters
    ----------
    parameters : BoostedParameters, optional
    seed, threads : int
        As in Boosted.
    least : int
        Laundering payments of a typology in the training slice from which it gets a model.
    """

    def __init__(
        self, parameters: BoostedParameters | None = None, *, seed: int = 7, threads: int = 0, least: int = 20
    ) -> None:
        self._parameters, self._seed, self._threads, self._least = parameters, seed, threads, least
        self._models: dict[str, Boosted] = {}

    @property
    def typologies(self) -> tuple[str, ...]:
        """The shapes that have a model, in the order of their names."""
        return tuple(self._models)

    @property
    def card(self) -> dict[str, Any]:
        """The card of each model, by typology; JSON types."""
        return {name: model.card for name, model in self._models.items()}

    def fit(
        self,
        X: TrainingTable,
        typology: Sequence[str | None],
        *,
        validation: tuple[TrainingTable, Sequence[str | None]] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from `typology` str[n], the shape of each laundering payment, None = honest.

        Raises
        ------
        DetectorError
            The lengths do not fit, or no typology has labels enough.
        """
        shapes = np.array([shape or "" for shape in typology], np.str_)
        if len(shapes) != X.rows:
            raise DetectorError(
                f"{len(shapes)} typologies do not fit {X.rows} rows", where="typology", mend="give one a row, or None"
            )
        names, counts = np.unique(shapes[shapes != ""], return_counts=True)
        chosen = [str(name) for name, count in zip(names, counts, strict=True) if count >= self._least]
        if not chosen:
            raise DetectorError(
                f"no typology has {self._least} laundering payments",
                where="typology",
                mend="lower `least`, or label more",
            )
        models: dict[str, Boosted] = {}
        for name in chosen:
            mine = _is(shapes, name)
            weight = np.where((shapes == "") | (mine == 1), 1.0, 0.0)
            held = None
            if validation is not None:
                held = Validation(validation[0], _is(np.array([s or "" for s in validation[1]], np.str_), name))
            model = Boosted(self._parameters, seed=self._seed, threads=self._threads)
            models[name] = model.fit(X, mine, weight=weight, validation=held, progress=progress)
        self._models = models
        return self

    def probabilities(self, X: TrainingTable) -> PartScores:
        """The chance of each shape, float64[n, typologies] in [0, 1]; each is calibrated by itself."""
        if not self._models:
            raise DetectorError("no typology was learned", mend="call fit, or load a saved one")
        values = np.column_stack([model.probability(X) for model in self._models.values()])
        return PartScores(self.typologies, values)

    def guess(self, X: TrainingTable, least: float = 0.0) -> list[str | None]:
        """The likeliest shape of each payment; None where none has a chance of at least `least`. Ties: the first."""
        said = self.probabilities(X)
        best = said.values.argmax(axis=1)
        sure = said.values[np.arange(said.rows), best] >= least
        return [said.names[place] if enough else None for place, enough in zip(best, sure, strict=True)]

    def save(self, folder: Path) -> None:
        """Write each model into a numbered folder, then detector.json with their names."""
        for number, model in enumerate(self._models.values()):
            model.save(Path(folder) / f"typology_{number}")
        write_folder(folder, KIND, {"typologies": list(self._models)}, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; a DetectorError where something is missing or damaged."""
        document, _ = read_folder(folder, KIND)
        names = document.get("typologies")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DetectorError("the typologies are not named", where=str(folder), mend=MEND)
        found = cls()
        found._models = {name: Boosted.load(Path(folder) / f"typology_{number}") for number, name in enumerate(names)}
        return found


def _is(shapes: np.ndarray[Any, Any], name: str) -> Int64Array:
    mine: Int64Array = (shapes == name).astype(np.int64)
    return mine
