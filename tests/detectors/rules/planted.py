"""For each rule of the package a made payment that hits it and an honest one that looks like it."""

from __future__ import annotations

from typing import Any, Final

from greywater.vocab import CHANNELS

DAY: Final = 86_400.0
CASH, WIRE = CHANNELS.index("cash"), CHANNELS.index("wire")
NAN: Final = float("nan")

BAND = "[amount 8500..9999.99]"
PARTS = "[amount 1000..9999.99]"

#: Amounts in minor units. (values that hit, what differs in the one that must not)
PLANTED: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "structuring-by-one-sender": (
        {"payment.amount": 950_000.0, f"sender.out.count.2d{BAND}": 2},
        {"payment.amount": 1_000_000.0},  # at the line, not under it: a purchase that is reported
    ),
    "structuring-over-a-month": (
        {"payment.amount": 900_000.0, f"sender.out.count.30d{BAND}": 20},
        {f"sender.out.count.30d{BAND}": 4},  # a rent of 9,000, every week
    ),
    "smurfing-into-one-account": (
        {
            "payment.amount": 450_000.0,
            f"receiver.in.counterparties.1d{PARTS}": 3,
            f"receiver.in.sum.1d{PARTS}": 1_350_000.0,
        },
        {f"receiver.in.sum.1d{PARTS}": 600_000.0},  # three friends share a bill
    ),
    "daily-cash-aggregate": (
        {
            "payment.channel": CASH,
            "sender.out.sum.1d[channel cash]": NAN,
            "receiver.in.sum.1d[channel cash]": 1_200_000.0,
        },
        {"payment.channel": WIRE},  # the total is there, but this payment is no cash
    ),
    "cash-intensive-account": (
        {
            "payment.channel": CASH,
            "receiver.in.sum.30d[channel cash]": 5_000_000.0,
            "receiver.in.sum.30d": 6_000_000.0,
        },
        {"receiver.in.sum.30d": 50_000_000.0},  # a supermarket: most of it is paid by card
    ),
    "single-large-deposit": ({"payment.amount": 1_000_001.0}, {"payment.amount": 1_000_000.0}),
    "fortnight-total": ({"receiver.in.sum.14d": 1_000_001.0}, {"receiver.in.sum.14d": 400_000.0}),
    "round-amounts": (
        {"payment.round_amount": 5, "payment.amount": 700_000.0, "sender.out.count.30d": 3},
        {"payment.round_amount": 2, "payment.amount": 712_300.0},  # an invoice
    ),
    "repeated-similar-amounts": (
        {"sender.out.count.1d": 5, "sender.out.max.1d": 105_000.0, "sender.out.min.1d": 100_000.0},
        {"sender.out.max.1d": 400_000.0},  # a day of invoices
    ),
    "leading-digits-against-benford": (
        {"sender.out.count.90d": 60, "sender.out.benford_chi_square.90d": 40.0},
        {"sender.out.count.90d": 12},  # too few payments to tell
    ),
    "pass-through": (
        {"sender.in.sum.1d": 1_000_000.0, "sender.out.sum.1d": 960_000.0},
        {"sender.out.sum.1d": 80_000.0},  # wages come in, the rent goes out
    ),
    "mule-commission": (
        {"sender.pass_through.1d": 0.91, "sender.in.count.1d": 1, "payment.amount": 91_000.0},
        {"sender.in.count.1d": 30},  # a shop pays its supplier from the day's takings
    ),
    "rapid-movement-against-balance": (
        {"payment.sender_balance_share": 0.97, "payment.amount": 500_000.0, "sender.in.sum.1d": 480_000.0},
        {"sender.in.sum.1d": 0.0},  # old savings move to a new bank
    ),
    "funnel-account": (
        {
            "sender.in.counterparties.7d": 9,
            "sender.out.counterparties.7d": 1,
            "sender.out.sum.7d": 1_900_000.0,
            "sender.in.sum.7d": 2_000_000.0,
        },
        {"sender.out.counterparties.7d": 40, "sender.out.sum.7d": 1_700_000.0},  # a merchant who pays many
    ),
    "round-trip": (
        {
            "temporal_cycle.shortest.7d": 2,
            "temporal_cycle.duration.7d": 2 * DAY,
            "temporal_cycle.share.7d": 0.98,
            "payment.amount": 400_000.0,
        },
        {"temporal_cycle.share.7d": 0.2},  # a part of the goods is sent back
    ),
    "temporal-ring": (
        {"temporal_cycle.shortest.7d": 4, "temporal_cycle.share.7d": 0.8},
        {"temporal_cycle.shortest.7d": 0, "temporal_cycle.share.7d": NAN},
    ),
    "layering-chain": (
        {"chain.hops.3d": 4, "chain.leak.3d": 0.1, "payment.amount": 300_000.0},
        {"chain.hops.3d": 2},  # a supplier pays its own supplier
    ),
    "fan-in": ({"receiver.in.counterparties.1d": 5}, {"receiver.in.counterparties.1d": 4}),
    "fan-out": ({"sender.out.counterparties.8h": 5}, {"sender.out.counterparties.8h": 2}),
    "gather-scatter": (
        {
            "gather_scatter.sender.senders.3d": 3,
            "gather_scatter.sender.receivers.3d": 4,
            "gather_scatter.sender.kept.3d": 0.05,
        },
        {"gather_scatter.sender.kept.3d": 0.9},  # it earns, and spends a little of it
    ),
    "scatter-gather": ({"scatter_gather.ordered.largest.3d": 3}, {"scatter_gather.ordered.largest.3d": 2}),
    "shared-attributes": (
        {"pair.shared_attributes": 2, "payment.amount": 200_000.0},
        {"payment.amount": 5_000.0},  # pocket money in one household
    ),
    "transfers-among-related-parties": (
        {"pair.related": 1, "payment.amount": 1_500_000.0, "sender.out.sum.30d": 5_000_000.0},
        {"pair.related": 0},
    ),
    "dormant-reactivation": (
        {
            "sender.out.count.1d": 4,
            "sender.out.count.90d": 4,
            "sender.out.lifetime_count": 20,
            "sender.out.sum.1d": 900_000.0,
        },
        {"sender.out.count.90d": 40},  # it was never quiet
    ),
    "new-account-active": (
        {"sender.age": 3 * DAY, "sender.out.count.7d": 25, "sender.out.sum.7d": 400_000.0},
        {"sender.age": 400 * DAY},
    ),
    "amount-against-own-history": (
        {"sender.out.amount_zscore.90d": 4.5, "sender.out.count.90d": 40, "payment.amount": 900_000.0},
        {"payment.amount": 9_000.0},  # far above a history of coffees
    ),
    "exceptional-transfer": (
        {"sender.out.amount_to_max.90d": 3.0, "sender.out.count.90d": 30, "payment.amount": 900_000.0},
        {"sender.out.amount_to_max.90d": 1.1},
    ),
    "volume-spike": (
        {"sender.out.sum.30d": 3_000_000.0, "sender.out.sum.7d": 2_500_000.0},
        {"sender.out.sum.7d": 800_000.0},  # a week like the others
    ),
    "burst": (
        {"sender.out.count.6h": 6, "sender.out.sum.6h": 300_000.0},
        {"sender.out.sum.6h": 4_000.0},  # bus tickets
    ),
    "large-first-payment-to-new-payee": (
        {
            "pair.first": 1,
            "payment.amount": 800_000.0,
            "sender.out.lifetime_count": 50,
            "sender.out.amount_to_mean.30d": 9.0,
        },
        {"pair.first": 0},  # the yearly premium, paid every year
    ),
    "deviation-from-peers": (
        {"sender.out.peer_zscore.30d": 5.0, "sender.out.sum.30d": 9_000_000.0},
        {"sender.out.peer_zscore.30d": 1.0},
    ),
    "night-and-weekend-concentration": (
        {
            "sender.out.count.30d": 20,
            "sender.out.count.30d[type night]": 18,
            "sender.out.count.30d[type weekend]": 5,
        },
        {"sender.out.count.30d[type night]": 6},  # some at night, as everybody
    ),
    "currency-hopping": (
        {
            "payment.currency_change": 1,
            "payment.amount": 90_000.0,
            "sender.out.count.7d[type currency_change]": 3,
        },
        {"sender.out.count.7d[type currency_change]": 1},  # a holiday
    ),
    "exposure-to-confirmed-launderer": (
        {
            "payment.amount": 400_000.0,
            "sender.known_launderer": 0,
            "receiver.known_launderer": 0,
            "sender.in.exposed_share.30d": 0.9,
        },
        {"sender.in.exposed_share.30d": 0.02},  # it once sold a launderer a coffee
    ),
    "has-related-launderer": (
        {"sender.related_launderers": 1, "receiver.related_launderers": 0},
        {"sender.related_launderers": 0},
    ),
    "is-related-to-launderer": (
        {"sender.related_by_launderers": 0, "receiver.related_by_launderers": 2},
        {"receiver.related_by_launderers": 0},
    ),
    "high-risk-geography": (
        {
            "sender.attribute.high_risk_country": 0,
            "receiver.attribute.high_risk_country": 1,
            "payment.amount": 300_000.0,
        },
        {"payment.amount": 2_000.0},
    ),
}
