"""A local typst template: set in a process of its own, in a folder that holds copies of its files and nothing else.

typst lets a template read what lies below its root, follows links out of it, and fetches packages from the network. So the root
is a new folder of plain copies, and the process has no way to the network: its proxy is an address where nobody listens.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from eduq.bulletins.template_folder import PDF_TEMPLATE, SHIPPED, TemplateFolder
from eduq.errors import Place, SettingsError
from eduq.resources import package_path

__all__ = ["set_local"]

_SHIPPED = ("bulletin.typ", "paper.typ")
_SECONDS = 120
_NOWHERE = "http://127.0.0.1:0"
_PLACE = re.compile(r"┌─ (.+?):(\d+):(\d+)")
_BROKEN = (
    re.compile(r"unknown variable: (\S+)"),
    re.compile(r'(?:does not contain key|does not have field|does not contain) "?([^"\s]+)"?'),
)
_UNNAMED = re.compile(r"unresolved import|cannot access field|no field|no method|not have a? ?(field|method)")
_MISSING = re.compile(r"file not found|file is not|failed to load file")
_REACHING = re.compile(r"escape the (?:project )?root|outside of the project|cannot access file system|access denied")
_PACKAGE = re.compile(r"package")
_QUOTED = re.compile(r"\"[^\"]*\"|`[^`]*`")
_SAYS_VALUES = re.compile(r"^(panicked|assertion failed|equality assertion failed|inequality assertion failed)")


def set_local(templates: TemplateFolder, inputs: dict[str, str], path: Path) -> None:
    """Set a PDF by the bulletin.typ of a local folder.

    Parameters
    ----------
    templates
        A folder with bulletin.typ.
    inputs
        ``sys.inputs`` of the template.
    path
        File to write.

    Raises
    ------
    SettingsError
        ``template_broken``, ``template_syntax``, ``template_missing``, ``template_unsafe`` (reads outside the folder, or takes
        too long), ``template_outside`` (a package), with file and line.
    """
    with tempfile.TemporaryDirectory(prefix="eduq-typst.") as scratch:
        root = Path(scratch) / "root"
        (root / SHIPPED).mkdir(parents=True)
        for name, content in templates.files:
            (root / name).write_bytes(content)
        for name in _SHIPPED:
            (root / SHIPPED / name).write_bytes(package_path("bulletins", "templates", name).read_bytes())
        job: dict[str, Any] = {
            "main": str(root / PDF_TEMPLATE),
            "root": str(root),
            "output": str(Path(scratch) / "made.pdf"),
            "inputs": inputs,
        }
        told = Path(scratch) / "job.json"
        told.write_text(json.dumps(job, ensure_ascii=False), encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(package_path("bulletins", "typst_apart.py")), str(told)],
                cwd=root,
                env=_without_network(scratch),
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SettingsError("template_unsafe", Place(file=PDF_TEMPLATE), said=f"> {_SECONDS} s") from None
        if done.returncode == 3:
            _refuse(templates, json.loads(done.stdout))
        if done.returncode:
            raise SettingsError("template_unsafe", Place(file=PDF_TEMPLATE), said=f"typst {done.returncode}")
        path.write_bytes(Path(job["output"]).read_bytes())


def _without_network(scratch: str) -> dict[str, str]:
    """Return the environment with a proxy where nobody listens, and no packages of this machine."""
    proxies = {name: _NOWHERE for lower in ("http_proxy", "https_proxy", "all_proxy") for name in (lower, lower.upper())}
    kept = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy" and not name.startswith("TYPST_")}
    homes = dict.fromkeys(("XDG_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "APPDATA"), scratch)
    return kept | proxies | homes


def _refuse(templates: TemplateFolder, told: dict[str, Any]) -> None:
    """Say what typst said, without what the message holds of the data."""
    message, places = str(told["message"]), _PLACE.findall(str(told["diagnostic"]))
    own = [place for place in places if place[0] in dict(templates.files)]
    file, row, column = (own or places or [(PDF_TEMPLATE, "0", "0")])[0]
    place = Place(file=file, row=int(row) or None)
    if _REACHING.search(message):
        raise SettingsError("template_unsafe", place, said="read")
    if _MISSING.search(message):
        raise SettingsError("template_missing", place, name=_quoted_there(templates, file, int(row)))
    if _PACKAGE.search(message):
        raise SettingsError("template_outside", place, said="@")
    for pattern in _BROKEN:
        if found := pattern.search(message):
            raise SettingsError("template_broken", place, name=found[1])
    if _UNNAMED.search(message):
        word = re.match(r"[\w-]+", _line(templates, file, int(row))[int(column) :])
        raise SettingsError("template_broken", place, name=word[0] if word else "?")
    said = _SAYS_VALUES.match(message)
    raise SettingsError("template_syntax", place, said=said[0] if said else _QUOTED.sub("…", message))


def _line(templates: TemplateFolder, file: str, row: int) -> str:
    lines = (templates.content(file) or b"").decode("utf-8").splitlines()
    return lines[row - 1] if 0 < row <= len(lines) else ""


def _quoted_there(templates: TemplateFolder, file: str, row: int) -> str:
    """Return the file that a line of a template names; what typst says of it is a path of this machine."""
    quoted = re.findall(r'"([^"]*)"', _line(templates, file, row))
    return quoted[0] if quoted else "?"
