"""The use case that fits a detector without one of its pieces after another, and says what each is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.part_makers import PartContext, detector_of, hybrid_of, make_parts
from greywater.app.provenance import fit_settings, fit_versions
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.trial_slices import TrialSlices, keep_slices, read_slices, refuse_unlabelled
from greywater.app.tuned import read_tuned
from greywater.app.wiring import open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.detectors.ablation import LAYERS, AblationPoint, AblationSlices, Variant, ablate
from greywater.detectors.detector import Detector
from greywater.detectors.saved import plain
from greywater.detectors.search_space import Value
from greywater.errors import UsageError
from greywater.vocab import Actor, Progress

__all__ = ["PIECES", "AblateRequest", "Ablation", "ablate_detector"]

#: What can be taken away, by the word of `--drop`.
PIECES: Final = ("families", "layers", "parts")


@dataclass(frozen=True)
class AblateRequest:
    """What to take away, and how often to fit.

    Parameters
    ----------
    drop : tuple of str
        Of PIECES: families of features, layers of the detector (what its parameters can switch off), parts of the
        hybrid. All that the detector has where left out.
    seeds : int
        Fits of each variant; the first has the setting `seed`.
    tuned : str, optional
        A study whose detector and parameters are used.
    resamples : int
        Of the bootstrap.
    """

    drop: tuple[str, ...] = ()
    seeds: int = 5
    tuned: str | None = None
    resamples: int = 200

    def __post_init__(self) -> None:
        unknown = [name for name in self.drop if name not in PIECES]
        if unknown:
            raise UsageError(
                f"there is nothing called {unknown[0]!r} to drop", where="--drop", mend=f"give {', '.join(PIECES)}"
            )
        for name in ("seeds", "resamples"):
            if getattr(self, name) < 1:
                raise UsageError(f"{getattr(self, name)} cannot be used", where=f"--{name}", mend="give at least 1")


@dataclass(frozen=True)
class Ablation:
    """What the whole detector reached on the validation slice, and what was lost without each piece."""

    detector: str
    whole: AblationPoint
    without: tuple[AblationPoint, ...]
    seeds: int
    resamples: int
    run: str

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater ablate --json`; docs/cli.md describes it."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def ablate_detector(
    actor: Actor, settings: Settings, request: AblateRequest, progress: Progress | None = None
) -> Ablation:
    """Fit the detector that the settings name whole and without each of its pieces; judge it on later payments.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store, project, features, detector, seed.
    request : AblateRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        There is no such piece, or the detector has none.
    EmptyInputError
        There are no labels to judge by.
    DetectorError
        The whole detector cannot be fitted.
    """
    told = progress or Silent()
    with audited(settings, actor, "train", "ablation") as detail:
        tuned = None if request.tuned is None else read_tuned(settings.project_folder, request.tuned)
        chosen = settings if tuned is None else settings.with_(detector=tuned.detector)
        parameters: dict[str, Value] = {} if tuned is None else tuned.parameters
        detail.update(detector=chosen.detector)
        with (
            open_project(chosen, actor) as project,
            open_workplace(
                project,
                "ablate",
                parameters={**fit_settings(chosen), **asdict(request)},
                versions=fit_versions(project),
            ) as place,
        ):
            detail["run"] = place.run_id
            refuse_unlabelled(project)
            _refuse_pieces(chosen.detector, request.drop)
            made = replay_project(project, project_features(project), place.folder, told)
            slices = _slices(made, place.folder)
            pieces = _Pieces(chosen, parameters, made, read_slices(place.folder))
            points = ablate(
                pieces.whole(),
                pieces.variants(request.drop),
                slices,
                seeds=range(chosen.seed, chosen.seed + request.seeds),
                resamples=request.resamples,
                progress=told,
            )
            found = Ablation(chosen.detector, points[0], points[1:], request.seeds, request.resamples, place.run_id)
            place.fit.metric("validation.average_precision", points[0].score)
            for point in points[1:]:
                place.fit.metric(f"loss without {point.kind} {point.without}", point.loss)
            place.fit.artefact("ablation.json", json.dumps(found.to_json(), indent=1, allow_nan=False))
    return found


class _Pieces:
    """What the detector is made of."""

    def __init__(self, settings: Settings, tuned: Mapping[str, Value], made: FeatureRows, slices: TrialSlices) -> None:
        self._settings, self._tuned, self._made, self._words = settings, tuned, made, slices.words
        self._names = slices.X.names

    def whole(self) -> Variant:
        """The detector itself."""
        return Variant("whole", "", lambda seed, names: self._make(seed, names, {}))

    def variants(self, drop: tuple[str, ...]) -> list[Variant]:
        """The detector without each of the pieces asked for."""
        families, layers, parts = self._families(), self._layers(), self._parts()
        has = {"families": families, "layers": layers, "parts": parts}
        empty = [name for name in drop if not has[name]]
        if empty:
            raise _nothing_to_drop(self._settings.detector, empty[0], [name for name in PIECES if has[name]])
        return [variant for name in PIECES if name in (drop or PIECES) for variant in has[name]]

    def _families(self) -> list[Variant]:
        family = {feature.name: feature.family for feature in self._made.features.features}
        kinds = dict.fromkeys(family[name] for name in self._names)
        if len(kinds) < 2:
            return []
        return [
            Variant(
                "family",
                kind,
                lambda seed, names: self._make(seed, names, {}),
                tuple(name for name in self._names if family[name] != kind),
            )
            for kind in kinds
        ]

    def _layers(self) -> list[Variant]:
        def variant(name: str, changes: Mapping[str, Value]) -> Variant:
            return Variant("layer", name, lambda seed, names: self._make(seed, names, changes))

        return [variant(*each) for each in LAYERS.get(self._settings.detector, {}).items()]

    def _parts(self) -> list[Variant]:
        if self._settings.detector != "hybrid":
            return []

        def variant(part: str) -> Variant:
            return Variant(
                "part", part, lambda seed, names: hybrid_of(self._context(seed, names), self._tuned, without=(part,))
            )

        parts = list(make_parts(self._context(self._settings.seed, self._names)))
        return [variant(part) for part in parts] if len(parts) > 1 else []

    def _context(self, seed: int, names: tuple[str, ...]) -> PartContext:
        return PartContext(self._settings.with_(seed=seed), names, self._words)

    def _make(self, seed: int, names: tuple[str, ...], changes: Mapping[str, Value]) -> Detector:
        return detector_of(self._context(seed, names), {**self._tuned, **changes})


def _refuse_pieces(detector: str, drop: tuple[str, ...]) -> None:
    """Say what a kind of detector never has before features are worked out."""
    has = {"families": True, "layers": detector in LAYERS, "parts": detector == "hybrid"}
    missing = [name for name in drop if not has[name]]
    if missing:
        raise _nothing_to_drop(detector, missing[0], [name for name in PIECES if has[name]])


def _nothing_to_drop(detector: str, piece: str, has: list[str]) -> UsageError:
    return UsageError(
        f"the detector {detector} has no {piece} to drop",
        where="--drop",
        mend=f"it has {', '.join(has) or 'nothing that can be dropped'}",
    )


def _slices(made: FeatureRows, folder: Path) -> AblationSlices:
    split = keep_slices(made, folder)
    slices = read_slices(folder)
    judged = slice(split.train, split.validation)
    parties = [np.asarray(codes[judged], np.int64) for codes in (made.replayed.sender, made.replayed.receiver)]
    return AblationSlices(slices.X, slices.y, slices.time_us, slices.validation, parties)
