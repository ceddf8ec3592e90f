"""Settles what a project counts in: base currency, rates, time resolution, at its first ingest and for ever."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.formats.rates import Rates
from greywater.formats.source import Source
from greywater.stores.project_file import ProjectFile
from greywater.vocab import Int64Array

__all__ = ["Settled", "early_base", "settle"]

_CODE: Final = re.compile(r"[A-Z0-9]{2,10}")
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Settled:
    """What payments of one ingest are counted in.

    Parameters
    ----------
    base_currency : str
        Currency the windows are counted in.
    resolution_us : int
        Time resolution in microseconds.
    rates : Rates or None
        Table of rates, None where every payment is in the base currency or there are none.
    only_files : frozenset of int or None
        Positions of the files whose payments the rates serve; None = all.
    """

    base_currency: str
    resolution_us: int
    rates: Rates | None = None
    only_files: frozenset[int] | None = None

    @property
    def rates_name(self) -> str:
        """What outputs call the table of rates, "" where there is none."""
        return "" if self.rates is None else self.rates.name

    def base_amounts(self, payments: pa.RecordBatch) -> pa.Array:
        """Amounts paid in minor units of the base currency: int64[n], null where no rate is known.

        Parameters
        ----------
        payments : pa.RecordBatch
            With amount, currency, event_time and file.
        """
        amounts = np.asarray(payments["amount"].to_numpy(zero_copy_only=False), dtype=np.int64)
        known = pc.equal(payments["currency"], self.base_currency).to_numpy(zero_copy_only=False)
        if self.rates is None or known.all():
            return pa.array(amounts, mask=~known)
        base = amounts.copy()
        foreign = np.flatnonzero(~known & self._served(payments))
        if len(foreign):
            moments = payments["event_time"].cast(pa.int64()).to_numpy()[foreign]
            days = np.floor_divide(moments, _DAY_US).astype(np.int32)
            base[foreign], known[foreign] = self.rates.convert(
                amounts[foreign], payments["currency"].take(pa.array(foreign)), days
            )
        return pa.array(base, mask=~known)

    def _served(self, payments: pa.RecordBatch) -> NDArray[np.bool_]:
        files: Int64Array = np.asarray(payments["file"].to_numpy(), dtype=np.int64)
        if self.only_files is None:
            return np.ones(len(files), dtype=np.bool_)
        return np.isin(files, sorted(self.only_files))


def early_base(settings: Settings, held: str, sources: Sequence[Source]) -> str:
    """The base currency as far as it can be told before any payment is read; "" where it cannot."""
    own = {source.base_currency for source in sources if source.base_currency}
    return held or _wanted(settings) or (own.pop() if len(own) == 1 else "")


def _wanted(settings: Settings) -> str:
    """The base currency that the settings name, "" where they name none."""
    wanted = settings.base_currency.strip().upper()
    if wanted and not _CODE.fullmatch(wanted):
        raise UsageError(
            f"{settings.base_currency!r} is no currency code", where="base_currency", mend="give a code such as USD"
        )
    return wanted


def settle(
    settings: Settings,
    held: ProjectFile | None,
    sources: Sequence[Source],
    currencies: Collection[str],
    fx: Path | None,
    rates: Rates | None,
    warnings: list[str],
) -> Settled:
    """Settle base currency, rates and time resolution of an ingest.

    Parameters
    ----------
    settings : Settings
        `base_currency` may name one.
    held : ProjectFile or None
        What the project settled before; None where it holds no payment yet.
    sources : sequence of Source
        The files to record.
    currencies : collection of str
        Currencies met in them.
    fx : Path or None
        Table of rates that was given.
    rates : Rates or None
        The same, read already for the base currency expected.
    warnings : list of str
        Sentences are added.

    Returns
    -------
    Settled

    Raises
    ------
    UsageError
        The base currency cannot be told, or differs from the project's and no rates lead there.
    """
    base = _base(settings, "" if held is None else held.base_currency, sources, currencies)
    strange = [source for source in sources if source.base_currency not in ("", base)]
    if strange and fx is None:
        who = f"project {settings.project!r}" if held is not None else "the setting base_currency"
        raise UsageError(
            f"{strange[0].name} counts in {strange[0].base_currency}, {who} in {base}",
            where=str(strange[0].path),
            mend=f"give --fx FILE with rates to {base}, or record it in a --project of its own",
        )
    only_files: frozenset[int] | None = None
    if fx is not None:
        rates = rates if rates is not None and rates.base == base else Rates.read(fx, base)
        if rates.rejected.num_rows:
            warnings.append(
                f"{rates.name}: {rates.rejected.num_rows} rates could not be used; they are in the rejected rows"
            )
    else:
        rates, only_files = _demo_rates(base, sources, currencies, warnings)
    resolution_us = _resolution(held, sources, warnings)
    return Settled(base, resolution_us, rates, only_files)


def _base(settings: Settings, held: str, sources: Sequence[Source], currencies: Collection[str]) -> str:
    wanted = _wanted(settings)
    if held and wanted and held != wanted:
        raise UsageError(
            f"project {settings.project!r} counts in {held}, which cannot change to {wanted}",
            where="base_currency",
            mend=f"leave the setting out, or record into another --project; payments keep their base amounts in {held}",
        )
    own = sorted({source.base_currency for source in sources if source.base_currency})
    base = held or wanted
    if base:
        return base
    if len(own) == 1:
        return own[0]
    met = own or sorted(currencies)
    if len(met) > 1:
        shown = ", ".join(met[:5]) + (", ..." if len(met) > 5 else "")
        raise UsageError(
            f"the payments are in {shown}, and nothing says which of them to count in",
            where=", ".join(source.name for source in sources),
            mend="give --base-currency (or GREYWATER_BASE_CURRENCY) and --fx FILE with rates to it",
        )
    return met[0] if met else ""


def _demo_rates(
    base: str, sources: Sequence[Source], currencies: Collection[str], warnings: list[str]
) -> tuple[Rates | None, frozenset[int] | None]:
    """The constant table, for AMLworld's payments only, and only where one needs it."""
    places = frozenset(place for place, source in enumerate(sources) if source.format == "amlworld")
    if not places or set(currencies) <= {base}:
        return None, None
    rates = Rates.constant_amlworld()
    if rates.base != base:
        return None, None
    warnings.append(
        f"amounts in other currencies than {base} were converted with {rates.name}, which are no market rates; "
        "give --fx FILE for real ones"
    )
    return rates, places


def _resolution(held: ProjectFile | None, sources: Sequence[Source], warnings: list[str]) -> int:
    """The coarsest resolution of the project and the files."""
    found = {source.name: source.resolution_us for source in sources}
    if held is not None and held.resolution_us:
        found[f"project {held.base_currency}"] = held.resolution_us
        coarse = max(source.resolution_us for source in sources)
        if coarse != held.resolution_us:
            kept = max(coarse, held.resolution_us)
            warnings.append(
                f"the project's times are exact to {_span(held.resolution_us)}, these files' to {_span(coarse)}: "
                f"kept {_span(kept)}, and windows shorter than that are left out"
            )
    elif len(set(found.values())) > 1:
        kept = max(found.values())
        warnings.append(f"the files' times are exact to different spans: kept the coarsest, {_span(kept)}")
    return max(found.values())


def _span(microseconds: int) -> str:
    for size, word in ((_DAY_US, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms")):
        if microseconds % size == 0:
            return f"{microseconds // size} {word}"
    return f"{microseconds} us"
