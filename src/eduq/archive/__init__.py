"""The archive: the teaching quality database of a county, every exam, register and decision with its versions."""

from __future__ import annotations

from eduq.archive.database import Archive, create_archive, open_archive
from eduq.archive.writing import ImportReceipt, RegisterReceipt

__all__ = ["Archive", "ImportReceipt", "RegisterReceipt", "create_archive", "open_archive"]
