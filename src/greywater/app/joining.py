"""Which columns a project joins to its payments beside those of the engine, and the join itself while it replays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import pyarrow as pa

from greywater.app.attributes import open_attributes
from greywater.app.known_launderers import read_known_launderers
from greywater.app.party_columns import party_columns
from greywater.app.relations import open_relations
from greywater.app.rule_place import project_rules, with_requests
from greywater.app.wiring import Project
from greywater.config import Settings
from greywater.detectors.rules.rule_set import RuleSet
from greywater.errors import StoreError
from greywater.features.catalog import FeatureSet, payment_features
from greywater.features.community import CommunityJoin
from greywater.features.embedding_join import EmbeddingJoin
from greywater.features.joined import FAMILIES, PaymentJoin
from greywater.features.requests import is_request
from greywater.features.sequence import SequenceJoin
from greywater.features.suspicion import SuspicionJoin
from greywater.vocab import FeatureBlock

__all__ = ["JoinedColumns", "ProjectFeatures", "joins_of", "project_features"]

DAY: Final = 86_400
#: Families that are worked out only where a rule that is not off names a column of theirs, or a setting the family.
DEAR: Final = frozenset({"leading_digits", "peer_deviation", "community", "embedding", "sequence"})
#: The detector that reads the sequences of payments.
READS_SEQUENCES: Final = "adversarial_sequence"


@dataclass(frozen=True)
class ProjectFeatures:
    """The features of a project's payments, what is joined to them, and what the data cannot carry, in words."""

    features: FeatureSet
    joins: tuple[PaymentJoin, ...]
    left_out: tuple[str, ...] = ()

    def for_columns(self, names: Collection[str]) -> ProjectFeatures:
        """The same, but of what rules and records brought only the columns that a model was fitted on.

        So a model outlives a rule that is added or taken away, and the first known launderer.

        Parameters
        ----------
        names : collection of str
            The model's columns.
        """
        dropped = [family for family in self.features.joined if not _columns(family) <= set(names)]
        gone = {name for family in dropped for name in _columns(family)}
        kept = tuple(family for family in self.features.joined if family not in dropped)
        joins = tuple(join for join in self.joins if not gone.intersection(join.names))
        requests = tuple(name for name in self.features.requests if name in names)
        features = replace(self.features, joined=kept, requests=requests)
        missing = [name for name in names if name not in set(features.names) and is_request(name)]
        return replace(self, features=features.also(missing) if missing else features, joins=joins)


def project_features(project: Project, rules: RuleSet | None = None) -> ProjectFeatures:
    """The features that the settings name and the project's records allow.

    Those of the set; the windows and filters of their own that its rules name, where rules are a part of the detector;
    its attributes; relations, balances and attributes in common, where such are recorded; the suspicion that reached
    its parties, where launderers are known; leading digits, deviation from peers and communities, where a rule names
    them; distances in an embedding of the graph of payments, where a rule or the setting `embedding` does; the last
    payments of both parties, where a rule, the setting `sequence` or the detector asks for them.

    Parameters
    ----------
    project : Project
        Open for reading.
    rules : RuleSet, optional
        Those that name features; the project's own where left out and rules are a part of the detector.

    Returns
    -------
    ProjectFeatures
    """
    settings = project.settings
    features = payment_features(settings, project.file.resolution_us or 1)
    left_out = tuple(features.left_out_words(settings))
    if rules is None and settings.detector == "hybrid":
        rules = project_rules(settings)
    if rules is not None:
        features = with_requests(features, rules)
    attributes = open_attributes(project.tables, "all" if settings.allow_protected else "open")
    joins: list[PaymentJoin] = []
    if attributes is not None:
        features = replace(features, attributes=attributes.kinds, attribute_words=attributes.words)
        joins.append(attributes)
    named = frozenset() if rules is None else frozenset(rules.columns)
    dear = DEAR - _asked_for(settings)
    wanted = [name for name in FAMILIES if name not in dear or named.intersection(_columns(name))]
    families = _families(project, wanted)
    features = replace(features, joined=tuple(families))
    return ProjectFeatures(features, (*joins, *families.values()), left_out)


def joins_of(project: Project, features: FeatureSet, *, protected: bool) -> tuple[PaymentJoin, ...]:
    """The joins that gave a run's features their columns, from the project's records of today.

    Raises
    ------
    StoreError
        The records do not offer them any more.
    """
    joins: list[PaymentJoin] = []
    which: Literal["open", "all"] = "all" if protected else "open"
    wanted = {name for name, _ in features.attributes}
    attributes = open_attributes(project.tables, which, only=wanted) if wanted else None
    families = _families(project, features.joined)
    if (() if attributes is None else attributes.kinds) != features.attributes or tuple(families) != features.joined:
        raise StoreError(
            "the attributes or relations that the run used are no longer those of the project",
            mend="run again: greywater run",
        )
    if attributes is not None:
        joins.append(attributes)
    return (*joins, *families.values())


def _asked_for(settings: Settings) -> set[str]:
    """Dear families that the settings ask for."""
    asked = {"embedding": settings.embedding, "sequence": settings.sequence or settings.detector == READS_SEQUENCES}
    return {family for family, wanted in asked.items() if wanted}


def _columns(family: str) -> set[str]:
    """Names of a family's columns."""
    return {feature.name for feature in FAMILIES[family]}


def _families(project: Project, wanted: Collection[str]) -> dict[str, PaymentJoin]:
    """The joins of the families wanted for which something is recorded, in the order of FAMILIES; others stay shut."""
    found: dict[str, PaymentJoin] = dict(party_columns(project, wanted))
    if {"relations", "suspicion", "embedding"}.intersection(wanted):
        known = read_known_launderers(project.tables, project.ledger)
        relations = open_relations(project.tables, project.ledger, known)
        if relations is not None and "relations" in wanted:
            found["relations"] = relations
        if len(known) and "suspicion" in wanted:
            found["suspicion"] = SuspicionJoin(known, keep_days=-(-project.settings.allowed_lateness // DAY))
        if "embedding" in wanted:
            found["embedding"] = EmbeddingJoin(known, threads=project.settings.worker_threads)
    if "community" in wanted:
        found["community"] = CommunityJoin(keep_days=-(-project.settings.allowed_lateness // DAY))
    if "sequence" in wanted:
        found["sequence"] = SequenceJoin(allowed_lateness=project.settings.allowed_lateness)
    return {name: found[name] for name in FAMILIES if name in found}


class JoinedColumns:
    """Puts the columns of joins beside the feature columns of a replay.

    `watch` must see each batch of payments before `append` gets its block, in the same order; the two may be called
    from different threads.

    Parameters
    ----------
    joins : sequence of PaymentJoin
        In the order of their columns.
    sink : callable
        Takes the widened blocks.
    """

    def __init__(self, joins: Sequence[PaymentJoin], sink: Callable[[FeatureBlock], None]) -> None:
        self._joins = tuple(joins)
        self._names = [name for join in self._joins for name in join.names]
        self._sink = sink
        self._waiting: deque[list[pa.Array]] = deque()

    def watch(self, payments: pa.RecordBatch) -> None:
        """Work out the columns of the next block."""
        self._waiting.append([column for join in self._joins for column in join.columns(payments)])

    def append(self, block: FeatureBlock) -> None:
        """Widen a block and pass it on."""
        columns = [*block.columns.columns, *self._waiting.popleft()]
        names = [*block.columns.schema.names, *self._names]
        self._sink(FeatureBlock(block.seq, pa.RecordBatch.from_arrays(columns, names=names), block.scored))
