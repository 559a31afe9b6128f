"""Zip files: what is in them, told from the list of contents, and their members unpacked within bounds, never to disk."""

from __future__ import annotations

import errno
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from eduq.errors import DataFileError, Place
from eduq.intake.limits import MAX_MEMBERS, MAX_RATIO, MAX_UNPACKED_BYTES, RATIO_COUNTS_FROM, too_large

__all__ = ["Member", "ZipKind", "check_sizes", "list_members", "read_member", "unpack", "zip_kind"]

ZipKind = Literal["xlsx", "xlsb", "ods", "docx", "pptx", "zip"]

_LOCAL_HEADER = 30
_CHUNK = 1 << 20
_ENCRYPTED, _UTF8 = 0x1, 0x800
_JUNK = re.compile(r"(^|/)(__MACOSX/|\.|~\$|Thumbs\.db$|desktop\.ini$)")
_NESTED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz")
_ABSOLUTE = re.compile(r"^(/|[A-Za-z]:)")


@dataclass(frozen=True)
class Member:
    """One file in a zip: its name in the zip, below the folder that holds everything, and where it lies."""

    name: str
    info: zipfile.ZipInfo


def zip_kind(names: Iterable[str]) -> ZipKind:
    """Return what a zip is by the names in it: a workbook, a document or a mere zip."""
    plain = {name.replace("\\", "/").lower() for name in names}
    for kind, part in (("xlsx", "xl/workbook.xml"), ("xlsb", "xl/workbook.bin"), ("docx", "word/document.xml")):
        if part in plain:
            return kind  # type: ignore[return-value]
    if "ppt/presentation.xml" in plain:
        return "pptx"
    if "content.xml" in plain and "mimetype" in plain:
        return "ods"
    return "zip"


def _decoded(info: zipfile.ZipInfo) -> str:
    """Return a member's name; without the UTF-8 flag it is what the sender's system wrote, mostly GBK."""
    if info.flag_bits & _UTF8:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.orig_filename


def _checked_name(name: str, place: Place) -> str:
    """Return a name with plain slashes; refuse one that points out of the zip."""
    plain = name.split("\0")[0].replace("\\", "/")
    if _ABSOLUTE.match(plain) or ".." in plain.split("/"):
        raise DataFileError("zip_path_escapes", place)
    return "/".join(part for part in plain.split("/") if part not in ("", "."))


def list_members(path: Path) -> list[Member]:
    """List the files in a zip, named below the folder that holds them all; system files are left out.

    Raises
    ------
    DataFileError
        ``zip_unreadable``, ``zip_encrypted``, ``zip_path_escapes``, ``zip_link``, ``zip_nested``, ``zip_same_name``,
        ``file_too_large``.
    """
    place = Place(file=path.name)
    infos = _infos(path, place)
    if len(infos) > MAX_MEMBERS:
        raise too_large(place, "members", MAX_MEMBERS, len(infos))
    members = []
    for info in infos:
        name = _checked_name(_decoded(info), place)
        if info.orig_filename.endswith(("/", "\\")) or not name or _JUNK.search(name):
            continue
        inside = Place(file=f"{path.name}/{name}")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataFileError("zip_link", inside)
        if info.flag_bits & _ENCRYPTED:
            raise DataFileError("zip_encrypted", inside)
        if name.lower().endswith(_NESTED):
            raise DataFileError("zip_nested", inside)
        members.append(Member(name, info))
    check_sizes([member.info for member in members], place)
    members = _below_common_folder(members)
    twice = [name for name, n in Counter(member.name.casefold() for member in members).items() if n > 1]
    if twice:
        name = next(member.name for member in members if member.name.casefold() == twice[0])
        raise DataFileError("zip_same_name", Place(file=f"{path.name}/{name}"))
    return sorted(members, key=lambda member: member.name)


def _infos(path: Path, place: Place) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError, MemoryError):
        raise DataFileError("zip_unreadable", place) from None
    except OSError as error:
        raise DataFileError("zip_unreadable" if error.errno == errno.EINVAL else "file_unreadable", place) from None


def check_sizes(infos: Iterable[zipfile.ZipInfo], place: Place) -> None:
    """Refuse a zip that says of itself that it unpacks to too much, or to far more than it holds.

    Raises
    ------
    DataFileError
        ``file_too_large``.
    """
    unpacked = packed = 0
    for info in infos:
        unpacked += info.file_size
        packed += info.compress_size
    if unpacked > MAX_UNPACKED_BYTES:
        raise too_large(place, "unpacked", MAX_UNPACKED_BYTES, unpacked)
    if unpacked > RATIO_COUNTS_FROM and unpacked > MAX_RATIO * max(packed, 1):
        raise too_large(place, "ratio", MAX_RATIO, unpacked // max(packed, 1))


def _below_common_folder(members: list[Member]) -> list[Member]:
    """Take off the folders that hold everything."""
    while members and all("/" in member.name for member in members):
        if len({member.name.split("/", 1)[0] for member in members}) > 1:
            break
        members = [Member(member.name.split("/", 1)[1], member.info) for member in members]
    return members


def unpack(file: BinaryIO, info: zipfile.ZipInfo, place: Place, code: str = "zip_unreadable") -> Iterator[bytes]:
    """Unpack one member in pieces; stops as soon as it holds more than it says, and checks its sum.

    Parameters
    ----------
    file
        The zip, open.
    info
        The member.
    place, code
        Place and code of the error.

    Raises
    ------
    DataFileError
        Of the code given: another packing than deflate, cut off, damaged, or larger than stated.
    """
    damaged = DataFileError(code, place)
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or not header.startswith(b"PK\x03\x04"):
        raise damaged
    file.seek(sum(struct.unpack("<HH", header[26:30])), 1)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise damaged
    pieces = (
        _inflated(file, info.compress_size) if info.compress_type == zipfile.ZIP_DEFLATED else _stored(file, info.compress_size)
    )
    given, crc = 0, 0
    try:
        for piece in pieces:
            given += len(piece)
            if given > info.file_size:
                raise damaged
            crc = zlib.crc32(piece, crc)
            yield piece
    except zlib.error:
        raise damaged from None
    if given != info.file_size or crc != info.CRC:
        raise damaged


def _stored(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (piece := file.read(min(_CHUNK, size))):
        size -= len(piece)
        yield piece


def _inflated(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Inflate a piece at a time: a megabyte may become a gigabyte."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    packed = b""
    while not inflate.eof:
        if not packed:
            packed = file.read(min(_CHUNK, size))
            size -= len(packed)
        piece = inflate.decompress(packed, 4 * _CHUNK)
        if piece:
            yield piece
        elif not packed:
            raise zlib.error
        packed = inflate.unconsumed_tail


def read_member(path: Path, info: zipfile.ZipInfo, name: str) -> bytes:
    """Return the content of one member.

    Raises
    ------
    DataFileError
        ``zip_unreadable``, ``file_unreadable``.
    """
    place = Place(file=name)
    try:
        with path.open("rb") as file:
            return b"".join(unpack(file, info, place))
    except OSError as error:
        raise DataFileError("zip_unreadable" if error.errno == errno.EINVAL else "file_unreadable", place) from None
