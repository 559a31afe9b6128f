"""Invented counties, made once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.bulletins.fixture import make_publishable

from eduq.bulletins import build_context
from eduq.disclosure import Publishable


@pytest.fixture(scope="session")
def county() -> Publishable:
    return make_publishable()


@pytest.fixture(scope="session")
def province() -> Publishable:
    return make_publishable(schools=150, papers=3)


@pytest.fixture(scope="session")
def context(county: Publishable) -> dict[str, Any]:
    return build_context(county, "zh")
