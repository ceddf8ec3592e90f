"""Trades, and made-up names of people and companies."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Int64Array

__all__ = ["BUSINESS", "LANDLORD", "MERCHANT", "PERSON", "UTILITY", "make_names"]

#: Trades of customers.
PERSON, MERCHANT, LANDLORD, UTILITY, BUSINESS = range(5)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES: Final = _words("""
    Ada Alma Amir Anna Anton Bela Carla Chen Clara Daniel Diego Dora Edgar Elif Elena Emil Fatima Felix Greta Hana
    Hugo Ida Igor Ines Ivan Jana Jonas Julia Karim Klara Lars Leila Leo Lina Luca Maja Marco Mia Milan Nadia Nils
    Noor Olga Omar Oscar Paula Petra Rafael Rosa Ruben Sara Sofia Stefan Tara Tomas Vera Viktor Yara Yusuf Zoe""")
_LAST_NAMES: Final = _words("""
    Abel Adler Almeida Ames Barros Becker Bianchi Brandt Castro Cohen Costa Dahl Diaz Duarte Eklund Engel Farkas
    Ferrer Fischer Fonseca Garcia Grant Haas Haddad Holm Horvat Ibsen Ivanov Jansen Kaya Keller Khan Kovac Lange
    Larsen Lindt Lopez Marin Mendes Meyer Moreau Nagy Novak Okafor Olsen Ortiz Park Pereira Petrov Quist Ramos Reyes
    Rossi Sato Silva Stone Tanaka Torres Varga Vogel Weber Wolf Yilmaz Zeman""")
_COMPANY_FIRST: Final = _words("""
    Amber Arbor Atlas Aurora Beacon Birch Blue Bright Canal Castle Central Copper Corner Crown Delta East Elm Falcon
    Garden Golden Granite Green Harbour Hill Iron Ivory Lake Lantern Maple Market Mill North Oak Orchard Pine Prime
    River Royal Silver South Star Stone Summit Sun Swift Valley West Willow""")
_COMPANY_SECOND: Final = {
    MERCHANT: _words(
        "Bakery Books Cafe Deli Electronics Fashion Florist Foods Grill Market Pharmacy Shoes Sports Toys"
    ),
    LANDLORD: _words("Apartments Estates Homes Housing Lettings Property Residences"),
    UTILITY: _words("Broadband Energy Gas Insurance Mobile Power Telecom Water"),
    BUSINESS: _words("""
        Builders Cleaning Components Consulting Engineering Freight Imports Logistics Machinery Metals Packaging
        Print Repairs Services Software Textiles Trading"""),
}


def make_names(rng: np.random.Generator, trade: NDArray[np.int8], household: Int64Array) -> NDArray[np.str_]:
    """A name for every customer: one family name a household, a line of trade for companies.

    Parameters
    ----------
    rng : np.random.Generator
        Where chance comes from.
    trade : int8[customers]
        PERSON, MERCHANT, LANDLORD, UTILITY or BUSINESS.
    household : int64[customers]
        Number of the household, -1 for companies.

    Returns
    -------
    str array [customers]
        Names may repeat, as in life.
    """
    family = rng.integers(0, len(_LAST_NAMES), int(household.max(initial=-1)) + 1)
    picks = rng.integers(0, 1 << 30, (len(trade), 2))
    names = []
    for kind, home, (one, two) in zip(trade.tolist(), household.tolist(), picks.tolist(), strict=True):
        if kind == PERSON:
            names.append(f"{_FIRST_NAMES[one % len(_FIRST_NAMES)]} {_LAST_NAMES[family[home]]}")
        else:
            second = _COMPANY_SECOND[kind]
            suffix = ("Ltd", "Inc", "LLC")[(one ^ two) % 3]
            names.append(f"{_COMPANY_FIRST[one % len(_COMPANY_FIRST)]} {second[two % len(second)]} {suffix}")
    return np.array(names)
