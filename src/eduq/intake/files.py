"""Find the data files of a call, read their bytes once and tell by the first bytes what they are."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import polars as pl

from eduq.errors import DataFileError, Place, UsageError

__all__ = ["DATA_SUFFIXES", "EXAM_FILE_NAME", "FileKind", "FoundFiles", "SourceFile", "decode_text", "find_files", "read_source"]

FileKind = Literal["xlsx", "xls", "parquet", "text"]
DATA_SUFFIXES = (".xlsx", ".xls", ".csv", ".tsv", ".txt", ".parquet")
EXAM_FILE_NAME = "exam.toml"


@dataclass(frozen=True)
class FoundFiles:
    """What a list of paths stands for.

    Attributes
    ----------
    data
        The data files, sorted by name.
    exam
        The exam.toml found beside them, if there is one.
    ignored
        Base names of other files in the folders.
    folder
        Name of the folder when one folder was given, else None.
    """

    data: tuple[Path, ...]
    exam: Path | None
    ignored: tuple[str, ...]
    folder: str | None


@dataclass(frozen=True)
class SourceFile:
    """One data file: its bytes and what they are."""

    name: str
    stem: str
    kind: FileKind
    data: bytes
    sha256: str

    @property
    def place(self) -> Place:
        """The file as a place."""
        return Place(file=self.name)


def _is_hidden(path: Path) -> bool:
    return path.name.startswith((".", "~$"))


def find_files(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> FoundFiles:
    """List the data files that paths stand for; a folder stands for the data files in it (not below it).

    Parameters
    ----------
    paths
        A file, a folder, or several.

    Raises
    ------
    UsageError
        ``no_paths``, ``same_file_name`` (two files of one name could not be told apart in any output).
    DataFileError
        ``file_missing``, ``no_data_files``.
    """
    given = [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(path) for path in paths]
    if not given:
        raise UsageError("no_paths")
    data: dict[Path, Path] = {}
    ignored: list[str] = []
    exams: dict[Path, Path] = {}
    for path in given:
        if path.is_dir():
            for entry in sorted(path.iterdir()):
                if _is_hidden(entry) or not entry.is_file() or entry.name == EXAM_FILE_NAME:
                    continue
                if entry.suffix.lower() in DATA_SUFFIXES:
                    data[entry.resolve()] = entry
                else:
                    ignored.append(entry.name)
            beside = path / EXAM_FILE_NAME
        elif path.is_file():
            data[path.resolve()] = path
            beside = path.parent / EXAM_FILE_NAME
        else:
            raise DataFileError("file_missing", Place(file=path.name))
        if beside.is_file():
            exams[beside.resolve()] = beside
    if not data:
        raise DataFileError("no_data_files", Place(file=given[0].name), suffixes=" ".join(DATA_SUFFIXES))
    if len(exams) > 1:
        raise UsageError("several_exam_files", n=len(exams))
    found = sorted(data.values(), key=lambda path: path.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            raise UsageError("same_file_name", Place(file=one.name))
    folder = given[0].resolve().name if len(given) == 1 and given[0].is_dir() else None
    return FoundFiles(tuple(found), next(iter(exams.values()), None), tuple(sorted(ignored)), folder)


def _sniff(path: Path, data: bytes) -> FileKind:
    place = Place(file=path.name)
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise DataFileError("file_empty", place)
    if data.startswith(b"PK\x03\x04"):
        return "xlsx"
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        if path.suffix.lower() == ".xlsx":
            raise DataFileError("workbook_encrypted", place)
        return "xls"
    if data.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"<"):
        raise DataFileError("html_as_table", place)
    return "text"


def read_source(path: Path) -> SourceFile:
    """Read a file and decide by its first bytes what it is; the suffix is not trusted.

    Raises
    ------
    DataFileError
        ``file_unreadable``, ``file_empty``, ``workbook_encrypted``, ``html_as_table``.
    """
    try:
        data = path.read_bytes()
    except OSError:
        raise DataFileError("file_unreadable", Place(file=path.name)) from None
    return SourceFile(path.name, path.stem, _sniff(path, data), data, hashlib.sha256(data).hexdigest())


def _is_utf8(data: bytes) -> bool:
    try:
        pl.Series([data]).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def decode_text(source: SourceFile) -> tuple[bytes, str]:
    """Return the text of a file as UTF-8 bytes without byte order mark, and the encoding it had.

    UTF-16 is told by its byte order mark; else the whole file is UTF-8, else the whole file is GB18030.

    Raises
    ------
    DataFileError
        ``encoding_unknown``.
    """
    data = source.data
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").encode("utf-8"), "utf-16"
        except UnicodeDecodeError:
            raise DataFileError("encoding_unknown", source.place) from None
    if b"\x00" in data:
        raise DataFileError("encoding_unknown", source.place)
    if _is_utf8(data):
        marked = data.startswith(codecs.BOM_UTF8)
        return (data[3:], "utf-8-sig") if marked else (data, "utf-8")
    try:
        return data.decode("gb18030").encode("utf-8"), "gb18030"
    except UnicodeDecodeError:
        raise DataFileError("encoding_unknown", source.place) from None
