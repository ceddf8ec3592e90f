"""How many false alerts on first payments to a new payee a trusted community saves, and what it costs.

    python benchmarks/trusted_community.py

Past: the first 60 % of the payments. Alerts: every payment of the rest that is the first of its sender to its receiver.
An alert is saved where the receiver lies inside the sender's own community of the past. Prints a table.
"""

from __future__ import annotations

import numpy as np

from graph_sets import PaymentSet, amlgentex, amlsim
from greywater.features.trust_community import trusted_community
from report import table

LEASTS = (1e-2, 1e-3, 1e-4)


def saved(payments: PaymentSet) -> list[tuple[object, ...]]:
    """A row for each least trust: alerts, false alerts saved, laundering payments lost."""
    kept = payments.rows(np.flatnonzero(payments.scored & (payments.sender != payments.receiver)))
    accounts, ends = np.unique(np.concatenate([kept.sender, kept.receiver]), return_inverse=True)
    sender, receiver = ends[: len(kept)].astype(np.int32), ends[len(kept) :].astype(np.int32)
    pair = sender.astype(np.int64) * len(accounts) + receiver
    _, first = np.unique(pair, return_index=True)
    past = int(0.6 * len(kept))
    alerts = np.sort(first[first >= past])
    known, counts = np.unique(pair[:past], return_counts=True)
    dirty = kept.label[alerts] == 1
    rows = []
    for least in LEASTS:
        found = trusted_community(
            (known // len(accounts)).astype(np.int32), (known % len(accounts)).astype(np.int32), counts.astype(float),
            len(accounts), sender[alerts], receiver[alerts], least=least,
        )  # fmt: skip
        inside = ~found.outside
        share = (inside & ~dirty).sum() / max((~dirty).sum(), 1)
        rows.append(
            (
                payments.name, f"{least:g}", f"{len(alerts):,}", f"{share:.1%}",
                f"{(inside & dirty).sum()} of {dirty.sum()}",
            )
        )  # fmt: skip
    return rows


def main() -> None:
    rows = saved(amlsim()) + saved(amlgentex())
    print(table(("data", "least trust", "first payments", "false ones saved", "laundering ones lost"), rows))


if __name__ == "__main__":
    main()
