"""Find the data files of a call, read their bytes once and tell by the first bytes what they are."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import polars as pl

from eduq.errors import DataFileError, Place, UsageError
from eduq.intake.checks import CheckList
from eduq.intake.containers import Member, list_members, read_member, zip_kind
from eduq.intake.limits import MAX_FILE_BYTES, too_large
from eduq.locale import text

__all__ = [
    "DATA_SUFFIXES",
    "EXAM_FILE_NAME",
    "DataFile",
    "FileKind",
    "FoundFiles",
    "SourceFile",
    "decode_text",
    "find_files",
    "read_source",
]

FileKind = Literal["xlsx", "xls", "parquet", "text"]
DATA_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".et", ".csv", ".tsv", ".txt", ".parquet", ".zip")
EXAM_FILE_NAME = "exam.toml"
_REGISTERS = "registers"
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_FOREIGN = {
    b"%PDF": "pdf",
    b"\x89PNG": "picture",
    b"\xff\xd8\xff": "picture",
    b"GIF8": "picture",
    b"Rar!": "archive",
    b"7z\xbc\xaf\x27\x1c": "archive",
    b"\x1f\x8b": "archive",
    b"{\\rtf": "document",
    b"SQLite format 3": "database",
}
"""First bytes of files people have beside their tables, and what they are (``file_kinds`` of the wording)."""
_WORKBOOK_STREAMS = tuple(name.encode("utf-16-le") for name in ("Workbook", "Book"))


@dataclass(frozen=True)
class DataFile:
    """One file that is to be read: on disk, or a member of a zip.

    Attributes
    ----------
    name
        Base name; for a member of a zip the name of the zip, a slash, and its name in the zip.
    path
        The file or the zip on disk.
    member
        The member, when it lies in a zip.
    """

    name: str
    path: Path
    member: Member | None = None

    @property
    def stem(self) -> str:
        """Its name without folder and suffix."""
        return Path(self.name).stem

    @property
    def place(self) -> Place:
        """The file as a place."""
        return Place(file=self.name)

    def read_bytes(self) -> bytes:
        """Return its content.

        Raises
        ------
        DataFileError
            ``file_unreadable``, ``file_too_large``, ``zip_unreadable``.
        """
        if self.member is not None:
            return read_member(self.path, self.member.info, self.name)
        try:
            size = self.path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise too_large(self.place, "file", MAX_FILE_BYTES, size)
            return self.path.read_bytes()
        except OSError:
            raise DataFileError("file_unreadable", self.place) from None


@dataclass(frozen=True)
class FoundFiles:
    """What a list of paths stands for.

    Attributes
    ----------
    data
        The data files, sorted by name.
    exam
        The exam.toml found beside them or in the zip, if there is one.
    ignored
        Names of other files in the folders and zips.
    folder
        Name of the folder, or of the zip without its suffix, when one was given, else None.
    folders
        Names of folders in the folders; they are not read.
    """

    data: tuple[DataFile, ...]
    exam: DataFile | None
    ignored: tuple[str, ...]
    folder: str | None
    folders: tuple[str, ...] = ()

    def note(self, checks: CheckList) -> None:
        """List what was not read."""
        for name in self.ignored:
            checks.add("file_ignored", "notice", file=name, found=name)
        for name in self.folders:
            checks.add("folder_ignored", "info" if name == _REGISTERS else "notice", file=name, found=name)


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


@dataclass
class _Search:
    """What is gathered while paths are looked at."""

    data: dict[tuple[Path, str], DataFile] = field(default_factory=dict)
    exams: dict[tuple[Path, str], DataFile] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def folder(self, folder: Path) -> None:
        """Take the data files of a folder; a link in it is refused: nobody sees what it leads to, and leaving it out loses it."""
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            raise DataFileError("file_unreadable", Place(file=folder.name)) from None
        for entry in entries:
            if entry.name.startswith((".", "~$")):
                continue
            wanted = entry.suffix.lower() in DATA_SUFFIXES or entry.name == EXAM_FILE_NAME
            if entry.is_symlink() and wanted:
                raise DataFileError("link_in_folder", Place(file=entry.name))
            if entry.is_dir():
                self.folders.append(entry.name)
            elif entry.name == EXAM_FILE_NAME:
                self.beside(entry)
            elif entry.is_file() and wanted:
                self.file(entry)
            else:
                self.ignored.append(entry.name)

    def beside(self, exam: Path) -> None:
        """Take the exam.toml beside a file, if there is one."""
        if exam.is_file():
            self.exams[exam.resolve(), ""] = DataFile(exam.name, exam)

    def file(self, path: Path) -> bool:
        """Take a file, or what is in it when it is a zip of files; return whether it is one."""
        if not _is_mere_zip(path):
            self.data[path.resolve(), ""] = DataFile(path.name, path)
            return False
        for member in list_members(path):
            file = DataFile(f"{path.name}/{member.name}", path, member)
            *above, base = member.name.split("/")
            if member.name == EXAM_FILE_NAME:
                self.exams[path.resolve(), member.name] = file
            elif Path(base).suffix.lower() in DATA_SUFFIXES and _REGISTERS not in above:
                self.data[path.resolve(), member.name] = file
            else:
                self.ignored.append(file.name)
        return True


def _is_mere_zip(path: Path) -> bool:
    """Return whether a file is a zip that is no workbook or document; one that cannot be read is left to the reader."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP))
        if not start.startswith((_ZIP, b"PK\x05\x06")):
            return False
        with zipfile.ZipFile(path) as archive:
            return zip_kind(archive.namelist()) == "zip"
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return path.suffix.lower() == ".zip"


def find_files(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> FoundFiles:
    """List the data files that paths stand for; a folder stands for the data files in it (not below it), a zip for all in it.

    Parameters
    ----------
    paths
        A file, a folder, a zip, or several.

    Raises
    ------
    UsageError
        ``no_paths``, ``several_exam_files``, ``same_file_name`` (two files of one name could not be told apart in any output).
    DataFileError
        ``file_missing``, ``file_unreadable``, ``no_data_files``, ``link_in_folder``, and those of
        `eduq.intake.containers.list_members`.
    """
    given = [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(path) for path in paths]
    if not given:
        raise UsageError("no_paths")
    search = _Search()
    folder = None
    for path in given:
        if path.is_dir():
            search.folder(path)
            folder = path.resolve().name
        elif path.is_file():
            folder = path.stem if search.file(path) else None
            search.beside(path.parent / EXAM_FILE_NAME)
        else:
            raise DataFileError("file_missing", Place(file=path.name))
    if not search.data:
        raise DataFileError("no_data_files", Place(file=given[0].name), suffixes=" ".join(DATA_SUFFIXES))
    if len(search.exams) > 1:
        raise UsageError("several_exam_files", n=len(search.exams))
    found = sorted(search.data.values(), key=lambda file: file.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            raise UsageError("same_file_name", one.place)
    return FoundFiles(
        tuple(found),
        next(iter(search.exams.values()), None),
        tuple(sorted(search.ignored)),
        folder if len(given) == 1 else None,
        tuple(sorted(search.folders)),
    )


def _not_a_table(place: Place, kind: str) -> DataFileError:
    return DataFileError("not_a_table", place, zh=text(f"file_kinds.{kind}", "zh"), en=text(f"file_kinds.{kind}", "en"))


def _sniff(place: Place, data: bytes) -> FileKind:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise DataFileError("file_empty", place)
    if data.startswith(_ZIP):
        return _sniff_zip(place, data)
    if data.startswith(_OLE):
        return _sniff_ole(place, data)
    if data.startswith(b"PAR1"):
        return "parquet"
    for magic, kind in _FOREIGN.items():
        if data.startswith(magic):
            raise _not_a_table(place, kind)
    if start.startswith(b"<?xml"):
        raise DataFileError("xml_as_table", place)
    if start.startswith(b"<") or start.lower().startswith(b"mime-version:"):
        raise DataFileError("html_as_table", place)
    return "text"


def _sniff_zip(place: Place, data: bytes) -> FileKind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            kind = zip_kind(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise DataFileError("workbook_unreadable", place) from None
    if kind in ("xlsb", "ods"):
        raise DataFileError("workbook_kind", place, kind=f".{kind}")
    if kind in ("docx", "pptx"):
        raise _not_a_table(place, "document")
    if kind == "zip":
        raise _not_a_table(place, "archive")
    return "xlsx"


def _sniff_ole(place: Place, data: bytes) -> FileKind:
    """Tell an old workbook from an encrypted one and from an old document by the names of the streams inside."""
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise DataFileError("workbook_encrypted", place)
    if "WordDocument".encode("utf-16-le") in data or "PowerPoint Document".encode("utf-16-le") in data:
        raise _not_a_table(place, "document")
    if not any(name in data for name in _WORKBOOK_STREAMS):
        raise DataFileError("workbook_unreadable", place)
    return "xls"


def read_source(file: DataFile | Path) -> SourceFile:
    """Read a file and decide by its first bytes what it is; the suffix is not trusted.

    Raises
    ------
    DataFileError
        ``file_unreadable``, ``file_too_large``, ``file_empty``, ``workbook_unreadable``, ``workbook_encrypted``,
        ``workbook_kind``, ``html_as_table``, ``xml_as_table``, ``not_a_table``.
    """
    found = DataFile(file.name, file) if isinstance(file, Path) else file
    data = found.read_bytes()
    return SourceFile(found.name, found.stem, _sniff(found.place, data), data, hashlib.sha256(data).hexdigest())


def _is_utf8(data: bytes) -> bool:
    try:
        pl.Series([data]).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def decode_text(data: bytes, place: Place) -> tuple[bytes, str]:
    """Return the text of a file as UTF-8 bytes without byte order mark, and the encoding it had.

    UTF-16 is told by its byte order mark; else the whole file is UTF-8, else the whole file is GB18030.

    Raises
    ------
    DataFileError
        ``encoding_unknown``.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").encode("utf-8"), "utf-16"
        except UnicodeDecodeError:
            raise DataFileError("encoding_unknown", place) from None
    if b"\x00" in data:
        raise DataFileError("encoding_unknown", place)
    if _is_utf8(data):
        marked = data.startswith(codecs.BOM_UTF8)
        return (data[3:], "utf-8-sig") if marked else (data, "utf-8")
    try:
        return data.decode("gb18030").encode("utf-8"), "gb18030"
    except UnicodeDecodeError:
        raise DataFileError("encoding_unknown", place) from None
