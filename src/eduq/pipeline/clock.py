"""How far a run has come, and how long its stages took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Clock", "Progress"]

Progress = Callable[[str, int, int], None]
"""Called with stage, done, total."""


@dataclass
class Clock:
    """Seconds spent in each stage.

    Attributes
    ----------
    seconds
        By stage.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, progress: Progress | None) -> Iterator[None]:
        """Time a stage, and tell `progress` when it begins and ends."""
        if progress is not None:
            progress(name, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)
        if progress is not None:
            progress(name, 1, 1)
