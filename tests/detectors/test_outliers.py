"""The classic anomaly detectors equal their slow twins and pyod, never rank backwards, and refuse what was forged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.config import DETECTORS
from greywater.detectors.adversarial_peers import NetworkDetector
from greywater.detectors.metrics import roc_auc
from greywater.detectors.outlier import OutlierDetector, OutlierParameters
from greywater.detectors.outlier_distances import (
    KMeans,
    KMeansParameters,
    NearestNeighbours,
    NearestNeighboursParameters,
    PCAParameters,
    PrincipalComponents,
)
from greywater.detectors.outlier_kernels import (
    KernelDensity,
    KernelDensityParameters,
    OneClassMachine,
    OneClassMachineParameters,
)
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.outlier_tails import Copod, Ecod, TailParameters
from greywater.detectors.saved import pack_arrays, read_folder, unpack_arrays, write_folder
from greywater.detectors.scaling import Scaling
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array
from tests import naive_outliers as naive

KINDS = pytest.mark.parametrize(
    "kind", [kind for kind, made in OUTLIER_KINDS.items() if not issubclass(made, NetworkDetector)]
)


def table(rows: Float64Array) -> TableRows:
    return TableRows(pa.table({f"c{place}": column for place, column in enumerate(rows.T)}))


def usual(rows: int, seed: int) -> Float64Array:
    """Two habits: many small payments by day, few large ones by night; the third column follows from the others."""
    draw = np.random.default_rng(seed)
    night = draw.random(rows) < 0.3
    amount = np.where(night, draw.lognormal(8, 0.4, rows), draw.lognormal(4, 0.4, rows))
    hour = np.where(night, draw.normal(23, 1, rows), draw.normal(12, 2, rows))
    return np.column_stack(
        [amount, hour, np.log(amount) * 2 + hour / 4 + draw.normal(0, 0.1, rows), draw.normal(size=rows)]
    )


def planted(rows: int, seed: int) -> tuple[Float64Array, Int64Array]:
    """Usual rows, and one in 50 whose columns do not go together: large by day, and the third beside itself."""
    made = usual(rows, seed)
    y = (np.arange(rows) % 50 == 0).astype(np.int64)
    made[y == 1, 2] += 6.0
    made[y == 1, 3] *= 4.0
    return made, y


@KINDS
@pytest.mark.parametrize("among_them", [False, True], ids=["good only", "unlabelled"])
def test_no_score_ranks_backwards(kind: str, among_them: bool) -> None:
    train, y = planted(3_000, 1)
    later, truth = planted(3_000, 2)
    weight = None if among_them else 1.0 - y
    detector = OUTLIER_KINDS[kind](threads=1).fit(table(train), weight=weight)
    area = roc_auc(truth, detector.score(table(later)))
    assert area is not None
    assert area > (0.6 if kind in ("ecod", "copod", "ocsvm") else 0.75)


@KINDS
def test_one_row_has_the_bits_of_many(kind: str) -> None:
    detector = OUTLIER_KINDS[kind](threads=2).fit(table(usual(400, 1)))
    rows = usual(9_000, 2)
    together = detector.score(table(rows))
    places = [0, 63, 64, 4_095, 4_096, 8_999]
    assert [detector.score_row(rows[place]) for place in places] == together[places].tolist()


@KINDS
def test_a_payment_of_weight_0_is_not_learned_from(kind: str) -> None:
    rows = usual(300, 1)
    odd = np.concatenate([rows, rows * 50])
    detector = OUTLIER_KINDS[kind](threads=1)
    weighed = detector.fit(table(odd), weight=np.r_[np.ones(300), np.zeros(300)]).score(table(rows))
    assert weighed.tobytes() == OUTLIER_KINDS[kind](threads=1).fit(table(rows)).score(table(rows)).tobytes()
    assert detector.card["sampled_rows"] == 300


@KINDS
def test_one_row_is_enough_to_fit_and_none_is_refused(kind: str) -> None:
    made = OUTLIER_KINDS[kind](threads=1).fit(table(usual(1, 1)))
    assert (made.score(table(usual(4, 2))) == 0).all()
    two = OUTLIER_KINDS[kind](threads=1).fit(table(usual(2, 1)))
    assert np.isfinite(two.score(table(usual(4, 2)))).all()
    with pytest.raises(DetectorError, match="0 rows"):
        OUTLIER_KINDS[kind]().fit(table(np.empty((0, 2))))


def scaled(detector: OutlierDetector[Any], train: Float64Array) -> Scaling:
    return Scaling.learn(train, detector._parameters.scaling)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 1_000))
def test_distances_are_those_of_the_slow_twin(rows: int, neighbour: int, seed: int) -> None:
    train, fresh = usual(rows, seed), usual(10, seed + 1)
    detector = NearestNeighbours(NearestNeighboursParameters(neighbour=neighbour), threads=1).fit(table(train))
    scaling = scaled(detector, train)
    among = scaling(train).tolist()
    slow = [naive.kth_neighbour(row, among, min(neighbour, rows)) for row in scaling(fresh).tolist()]
    assert np.allclose(detector.score(table(fresh)), slow, rtol=1e-9, atol=1e-12)


def test_a_density_is_that_of_the_slow_twin() -> None:
    train, fresh = usual(60, 1), usual(20, 2)
    detector = KernelDensity(threads=1).fit(table(train))
    scaling = scaled(detector, train)
    steepness = float(detector._known().model.steepness)  # type: ignore[attr-defined]
    slow = [naive.thinness(row, scaling(train).tolist(), steepness) for row in scaling(fresh).tolist()]
    assert np.allclose(detector.score(table(fresh)), slow, rtol=1e-9, atol=0)


@pytest.mark.parametrize("made", [Ecod, Copod])
def test_tails_are_those_of_the_slow_twin(made: type[Ecod]) -> None:
    train, fresh = usual(80, 1), usual(15, 2)
    train[::7, 1] = np.nan
    detector = made(threads=1).fit(table(train))
    scaling = scaled(detector, train)
    slow = [naive.tails(row, scaling(train).tolist(), mean=made is Copod) for row in scaling(fresh).tolist()]
    assert np.allclose(detector.score(table(fresh)), [sum(each) for each in slow], rtol=1e-12, atol=0)
    found = detector.explain(table(fresh))
    assert found[:, 2] == pytest.approx([each[2] for each in slow])
    # The flag of the missing rows is counted to its column.
    assert found[:, 1] == pytest.approx([each[1] + each[4] for each in slow])


@pytest.mark.parametrize(("made", "name"), [(Ecod, "ECOD"), (Copod, "COPOD")])
def test_tails_equal_pyods(made: type[Ecod], name: str) -> None:
    pytest.importorskip("pyod", reason="pyod is not installed: pip install 'greywater[outliers]'")
    from importlib import import_module

    train, fresh = usual(200, 1), usual(10, 2)
    detector = made(threads=1).fit(table(train))
    scaling = scaled(detector, train)
    theirs = getattr(import_module(f"pyod.models.{name.lower()}"), name)().fit(scaling(train))
    one_by_one = [float(theirs.decision_function(row[None, :])[0]) for row in scaling(fresh)]
    assert np.allclose(detector.score(table(fresh)), one_by_one, rtol=1e-9, atol=0)


def test_the_boundary_is_scikit_learns() -> None:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import SGDOneClassSVM

    train, fresh = usual(300, 1), usual(30, 2)
    detector = OneClassMachine(OneClassMachineParameters(landmarks=40), threads=1, seed=3).fit(table(train))
    scaling = scaled(detector, train)
    model: Any = detector._known().model
    kernel = Nystroem(gamma=model.steepness, n_components=40, random_state=3)
    plane = SGDOneClassSVM(nu=0.05, random_state=3).fit(kernel.fit_transform(scaling(train)))
    theirs = -plane.decision_function(kernel.transform(scaling(fresh)))
    assert np.allclose(detector.score(table(fresh)), theirs, rtol=0, atol=1e-9)


def test_components_weigh_as_the_inverse_covariance_does() -> None:
    train, fresh = usual(400, 1), usual(30, 2)
    detector = PrincipalComponents(PCAParameters(trimmed=0.0, share=0.7), threads=1).fit(table(train))
    scaling = scaled(detector, train)
    around = scaling(train) - scaling(train).mean(axis=0)
    variance, axes = np.linalg.eigh(around.T @ around / len(around))
    kept = detector._known().model.axes.shape[1]  # type: ignore[attr-defined]
    assert 1 <= kept < 4
    weight = np.where(np.arange(4) >= 4 - kept, variance, variance[: 4 - kept].mean())
    inverse = axes @ np.diag(1 / weight) @ axes.T
    away = scaling(fresh) - scaling(train).mean(axis=0)
    slow = np.einsum("ij,jk,ik->i", away, inverse, away) / 4
    assert np.allclose(detector.score(table(fresh)), slow, rtol=1e-9, atol=0)


def test_a_small_cluster_is_no_usual_behaviour() -> None:
    many, few = np.random.default_rng(1).normal(size=(1_000, 2)), np.random.default_rng(2).normal(9, 0.1, (15, 2))
    train = table(np.concatenate([many, few]))
    ring = KMeans(KMeansParameters(clusters=8, scaling="standard"), threads=1).fit(train).score(table(few)).mean()
    blind = KMeans(KMeansParameters(clusters=8, scaling="standard", least_share=0.0), threads=1).fit(train)
    assert ring > 10 * blind.score(table(few)).mean()


def test_the_settings_name_every_kind() -> None:
    assert DETECTORS[-len(OUTLIER_KINDS) :] == tuple(OUTLIER_KINDS)


@KINDS
@pytest.mark.parametrize("forged", ["shape", "values", "missing", "curves"])
def test_forged_arrays_are_refused(kind: str, forged: str, tmp_path: Path) -> None:
    detector = OUTLIER_KINDS[kind](threads=1).fit(table(usual(50, 1)))
    detector.save(tmp_path)
    document, files = read_folder(tmp_path, kind)
    arrays = unpack_arrays(files["model.npz"])
    name = next(iter(detector._known().model.arrays()))
    if forged == "shape":
        arrays[name] = arrays[name][..., None]
    elif forged == "values":
        arrays[name] = np.full(arrays[name].shape, np.nan)
    elif forged == "missing":
        del arrays[name]
    else:
        arrays["scaling.kept"] = arrays["scaling.kept"] + 9
    kept = {key: value for key, value in document.items() if key not in ("version", "kind", "files")}
    write_folder(tmp_path, kind, kept, {"model.npz": pack_arrays(arrays)})
    with pytest.raises(DetectorError):
        OUTLIER_KINDS[kind].load(tmp_path)


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (OutlierParameters, {"sample_rows": 0}),
        (OutlierParameters, {"scaling": "by hand"}),
        (OutlierParameters, {"alert_share": 1.0}),
        (OutlierParameters, {"least_positives": 0}),
        (PCAParameters, {"share": 1.0}),
        (PCAParameters, {"trimmed": 1.0}),
        (KMeansParameters, {"clusters": 0}),
        (KMeansParameters, {"least_share": 1.0}),
        (NearestNeighboursParameters, {"neighbour": 0}),
        (KernelDensityParameters, {"bandwidth": 0.0}),
        (OneClassMachineParameters, {"outside": 0.0}),
        (OneClassMachineParameters, {"width": float("inf")}),
        (TailParameters, {"among": 0}),
    ],
)
def test_unusable_parameters_are_refused(made: type[OutlierParameters], wrong: dict[str, Any]) -> None:
    with pytest.raises(DetectorError, match=next(iter(wrong))):
        made(**wrong)
