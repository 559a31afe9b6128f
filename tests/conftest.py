"""Settings of all tests: drawn examples are the same in every run."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)
settings.load_profile("fixed")
