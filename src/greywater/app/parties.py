"""Who is behind an account, and who is a confirmed launderer, as the project's records say."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from greywater.stores.ports import Tables

__all__ = ["Parties", "Seed", "read_parties"]


@dataclass(frozen=True)
class Seed:
    """A confirmed launderer: known from payment `after_seq` + 1 on and from `known_since` (microseconds) on."""

    known_since: int
    after_seq: int


@dataclass(frozen=True)
class Parties:
    """customer_of maps accounts to customers, None where no party table is given; seeds by account."""

    customer_of: dict[str, str] | None
    accounts_of: dict[str, tuple[str, ...]]
    seeds: dict[str, Seed]
    customers: int

    def accounts(self, entity: str, kind: str) -> tuple[str, ...]:
        """The accounts of an alerted entity."""
        return self.accounts_of.get(entity, (entity,)) if kind == "customer" else (entity,)

    def entity(self, account: str) -> str:
        """The customer of an account, or the account itself."""
        return account if self.customer_of is None else self.customer_of.get(account, account)

    def seeds_known(self, seq: int, time_us: int) -> frozenset[str]:
        """The seed accounts that a payment sees (SEMANTICS: Other records)."""
        return frozenset(a for a, s in self.seeds.items() if s.after_seq < seq and s.known_since <= time_us)


def read_parties(tables: Tables) -> Parties:
    """Read accounts, parties and seeds; the record written last counts."""
    customers = _column_pairs(tables.read("accounts", ["account", "customer"]), "account", "customer")
    parties = tables.read("parties", ["customer"])
    known = parties is not None and parties.num_rows > 0
    accounts_of: dict[str, tuple[str, ...]] = {}
    for account, customer in customers.items():
        accounts_of[customer] = (*accounts_of.get(customer, ()), account)
    return Parties(
        customer_of=customers if known and customers else None,
        accounts_of=accounts_of,
        seeds=_seeds(tables.read("seeds"), accounts_of),
        customers=len(set(parties["customer"].to_pylist())) if parties is not None else 0,
    )


def _column_pairs(table: pa.Table | None, key: str, value: str) -> dict[str, str]:
    if table is None:
        return {}
    return {k: v for k, v in zip(table[key].to_pylist(), table[value].to_pylist(), strict=True) if v is not None}


def _seeds(table: pa.Table | None, accounts_of: dict[str, tuple[str, ...]]) -> dict[str, Seed]:
    seeds: dict[str, Seed] = {}
    if table is None:
        return seeds
    since = table["known_since"].cast(pa.int64()).to_pylist()
    rows = zip(
        table["account"].to_pylist(), table["customer"].to_pylist(), since, table["after_seq"].to_pylist(), strict=True
    )
    for account, customer, known_since, after_seq in rows:
        for name in (account,) if account is not None else accounts_of.get(customer, ()):
            seeds[name] = Seed(known_since or 0, after_seq)
    return seeds
