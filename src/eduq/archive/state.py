"""What an archive shows at one version."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from eduq.archive.records import Commit, ImportRecord
from eduq.archive.store import list_parts, read_commits, read_marker
from eduq.errors import ArchiveError

__all__ = ["State", "read_state"]


@dataclass(frozen=True)
class State:
    """All commits, of which those up to ``version`` are looked at.

    Which import is current is asked of the commits up to ``version``; where its rows lie of all commits, since a rotation of
    the key and the removal of a pupil rewrite old imports too.
    """

    path: Path
    key_check: str
    all_commits: tuple[Commit, ...]
    version: int
    listings: dict[str, dict[str, tuple[list[str], int]]] = field(default_factory=dict, repr=False, compare=False)

    def files(self, table: str, part: str) -> list[str]:
        """Return the live files of a partition; a table is listed once, since a partition that is visible is not changed."""
        if table not in self.listings:
            self.listings[table] = list_parts(self.path, table)
        return self.listings[table].get(part, ([], 0))[0]

    @property
    def newest(self) -> int:
        """The newest version there is."""
        return len(self.all_commits)

    @property
    def commits(self) -> tuple[Commit, ...]:
        """The commits up to the version looked at."""
        return self.all_commits[: self.version]

    def records(self) -> dict[str, ImportRecord]:
        """Return every import there ever was, where its rows lie now."""
        return {record.import_id: record for commit in self.all_commits for record in commit.imports}

    def current_exams(self) -> dict[str, Commit]:
        """Return per exam the commit that brought its current import."""
        return {commit.exam_id: commit for commit in self.commits if commit.kind == "exam" and commit.exam_id}

    def current_record(self, exam_id: str) -> ImportRecord | None:
        """Return the current import of an exam."""
        commit = self.current_exams().get(exam_id)
        return None if commit is None or commit.import_id is None else self.records()[commit.import_id]

    @property
    def register_id(self) -> str | None:
        """The import_id of the registers in force."""
        return next((commit.register_id for commit in reversed(self.commits) if commit.register_id), None)


def read_state(path: Path, version: int | None = None) -> State:
    """Read what an archive shows at a version, by default the newest.

    Raises
    ------
    ArchiveError
        ``archive_missing``, ``archive_newer``, ``archive_damaged`` or ``archive_version_unknown``.
    """
    marker = read_marker(path)
    commits = read_commits(path)
    shown = len(commits) if version is None else version
    if not 0 <= shown <= len(commits):
        raise ArchiveError("archive_version_unknown", version=version, newest=len(commits))
    return State(path, commits[-1].key_check if commits else str(marker["key_check"]), commits, shown)
