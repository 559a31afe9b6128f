"""Printed parts as Word's XML: paragraphs, tables of three rules, pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from eduq.bulletins.word_figures import draw_picture
from eduq.bulletins.word_fit import ACROSS, UPRIGHT, break_title
from eduq.bulletins.word_parts import Part, Run
from eduq.bulletins.word_styles import W, title_size
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from docx.document import Document

__all__ = ["PartWriter"]

_EMU = 12700
_TALLEST = {False: 515.0, True: 330.0}
"""Height a figure may take, in points: upright, turned."""
_STYLES = {"text": "EduqText", "fill": "EduqFill", "recipients": "EduqRecipients", "closing": "EduqClosing"}


def _runs(runs: list[Run], properties: str = "") -> str:
    lines = []
    for shown, strong in runs:
        own = properties + ("<w:b/>" if strong else "")
        words = "<w:br/>".join(f'<w:t xml:space="preserve">{escape(line)}</w:t>' for line in shown.split("\n"))
        lines.append(f"<w:r>{f'<w:rPr>{own}</w:rPr>' if own else ''}{words}</w:r>")
    return "".join(lines)


def _paragraph(style: str, runs: list[Run], *, own: str = "", type_of: str = "") -> str:
    return f'<w:p {W}><w:pPr><w:pStyle w:val="{style}"/>{own}</w:pPr>{_runs(runs, type_of)}</w:p>'


class PartWriter:
    """Turns printed parts into Word's XML.

    Parameters
    ----------
    document
        Takes the pictures.
    lang
        Language of the bulletin.
    widths
        Width of the text in points: on a page as it stands, and turned.
    """

    def __init__(self, document: Document, lang: Lang, widths: tuple[float, float] = (UPRIGHT, ACROSS)) -> None:
        self.document = document
        self.lang = lang
        self.widths = widths
        self.missing: list[str] = []
        self.pictures = 0

    def write(self, part: Part) -> Iterator[str]:
        """Return the paragraphs and tables of a part, one XML text each."""
        kind = part["kind"]
        if kind == "heading":
            yield _paragraph(f"EduqHeading{min(part['level'], 2)}", part["runs"])
        elif kind == "title":
            yield _paragraph("EduqTitle", self._title_runs(part["runs"]))
        elif kind == "document_no":
            yield _paragraph("EduqDocumentNo", part["runs"])
        elif kind == "note":
            yield _paragraph("EduqWarning" if part["tone"] == "warning" else "EduqNote", part["runs"])
        elif kind == "item":
            yield _paragraph("EduqItem", [("· ", False), *part["runs"]] if part["bullet"] else part["runs"])
        elif kind == "figures":
            yield from self._headline(part)
        elif kind == "table":
            yield from self._table(part)
        elif kind == "figure":
            yield from self._figure(part)
        elif kind == "attachments":
            yield from self._attachments(part)
        elif kind == "annex":
            opening = "" if part.get("first") else "<w:pageBreakBefore/>"
            yield _paragraph("EduqAnnex", [(part["label"], False)], own=opening)
            yield _paragraph("EduqAnnexTitle", part["runs"])
        else:
            yield _paragraph(_STYLES[kind], part["runs"])

    def _title_runs(self, runs: list[Run]) -> list[Run]:
        """Return the title with its line breaks."""
        lines = break_title("".join(shown for shown, _ in runs), title_size(self.lang), self.widths[0])
        return runs if len(lines) == 1 else [("\n".join(lines), False)]

    def _headline(self, part: Part) -> Iterator[str]:
        """Write the main figures: each number with the words that say what it is."""
        yield _paragraph("EduqCaption", [(part["title"], False)])
        columns = [{"label": "", "align": "right"}, {"label": "", "align": "left"}]
        yield self._grid(columns, part["rows"], ["unit"] * len(part["rows"]), [100.0, self.widths[0] - 100.0], 10.5, head=False)
        yield _paragraph("EduqNote", [])

    def _attachments(self, part: Part) -> Iterator[str]:
        if self.lang == "en":
            yield _paragraph("EduqAttachments", [(part["title"], False)], own='<w:spacing w:before="240"/>')
            for name in part["names"]:
                yield _paragraph("EduqAttachments", [(name, False)])
            return
        ahead = 5 * 16 * 20
        for number, name in enumerate(part["names"]):
            if number:
                own = f'<w:ind w:left="{ahead + 320}" w:hanging="320"/>'
            else:
                own = f'<w:spacing w:before="579"/><w:ind w:left="{ahead + 320}" w:hanging="1280"/>'
            yield _paragraph("EduqAttachments", [((part["title"] if not number else "") + name, False)], own=own)

    def _table(self, part: Part) -> Iterator[str]:
        gap = "　" if self.lang == "zh" else "  "
        yield _paragraph("EduqCaption", [(f"{part['label']}{gap}{part['caption']}", False)])
        yield self._grid(part["columns"], part["rows"], part["roles"], part["widths"], part["size"])
        for said in part["notes"]:
            yield _paragraph("EduqNote", [(said, False)])
        yield _paragraph("EduqNote", [])

    def _grid(
        self,
        columns: list[dict[str, Any]],
        rows: list[list[str]],
        roles: list[str],
        widths: list[float],
        size: float,
        *,
        head: bool = True,
    ) -> str:
        """Return a table of three rules whose head comes again on every page and whose rows are never split."""
        twips = [round(width * 20) for width in widths]
        thick, hair = '<w:{} w:val="single" w:sz="12" w:space="0" w:color="000000"/>', "808080"
        grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in twips)
        lines = []
        if head:
            cells = "".join(
                self._cell(column["label"], column["align"], width, size, under="8", strong=True)
                for column, width in zip(columns, twips, strict=True)
            )
            lines.append(f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{cells}</w:tr>")
        for row, role in zip(rows, roles, strict=True):
            total = role == "total"
            cells = "".join(
                self._cell(shown, column["align"], width, size, over="6" if total else "", strong=total)
                for shown, column, width in zip(row, columns, twips, strict=True)
            )
            lines.append(f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{cells}</w:tr>")
        return (
            f'<w:tbl {W}><w:tblPr><w:tblW w:w="{sum(twips)}" w:type="dxa"/><w:tblBorders>{thick.format("top")}'
            f'{thick.format("bottom")}<w:insideH w:val="single" w:sz="2" w:space="0" w:color="{hair}"/></w:tblBorders>'
            f'<w:tblLayout w:type="fixed"/>'
            f'<w:tblCellMar><w:left w:w="60" w:type="dxa"/><w:right w:w="60" w:type="dxa"/></w:tblCellMar>'
            f"</w:tblPr><w:tblGrid>{grid}</w:tblGrid>{''.join(lines)}</w:tbl>"
        )

    def _cell(
        self, shown: str, align: str, width: int, size: float, *, over: str = "", under: str = "", strong: bool = False
    ) -> str:
        rules = "".join(
            f'<w:{side} w:val="single" w:sz="{weight}" w:space="0" w:color="000000"/>'
            for side, weight in (("top", over), ("bottom", under))
            if weight
        )
        borders = f"<w:tcBorders>{rules}</w:tcBorders>" if rules else ""
        side = '<w:jc w:val="right"/>' if align == "right" else ""
        own = f'<w:sz w:val="{round(size * 2)}"/><w:szCs w:val="{round(size * 2)}"/>'
        body = (
            f'<w:p><w:pPr><w:pStyle w:val="EduqCell"/>{side}</w:pPr>'
            f"{_runs([(shown, False)], ('<w:b/>' if strong else '') + own) if shown else ''}</w:p>"
        )
        return f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>{borders}<w:vAlign w:val="center"/></w:tcPr>{body}</w:tc>'

    def _figure(self, part: Part) -> Iterator[str]:
        """Write a figure as a picture with its words for a reader of speech; its words alone where no font can draw it."""
        gap = "　" if self.lang == "zh" else "  "
        yield _paragraph("EduqCaption", [(f"{part['label']}{gap}{part['title']}", False)])
        picture = draw_picture(part["svg"], self.lang)
        if picture is None:
            self.missing.append(part["label"])
            yield _paragraph("EduqNote", [(text("bulletin.paper.no_picture", self.lang, words=part["alt"]), False)])
        else:
            yield self._picture(picture, part)
        yield _paragraph("EduqNote", [(part["caption"], False)], own='<w:spacing w:after="160"/>')

    def _picture(self, picture: bytes, part: Part) -> str:
        name, image = self.document.part.get_or_add_image(io.BytesIO(picture))
        turned = bool(part.get("turned"))
        wide, high = image.px_width, image.px_height
        scale = min(self.widths[turned] / wide, _TALLEST[turned] / high)
        extent = f'cx="{round(wide * scale * _EMU)}" cy="{round(high * scale * _EMU)}"'
        self.pictures += 1
        facts = f'id="{self.pictures}" name="{escape(part["label"])}" descr="{escape(part["alt"])}"'
        main = "http://schemas.openxmlformats.org/drawingml/2006"
        return (
            f'<w:p {W} xmlns:a="{main}/main" xmlns:wp="{main}/wordprocessingDrawing" xmlns:pic="{main}/picture" '
            f'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
            f'<w:pPr><w:pStyle w:val="EduqFigure"/></w:pPr><w:r><w:drawing><wp:inline distT="0" distB="0" distL="0" distR="0">'
            f'<wp:extent {extent}/><wp:docPr {facts}/><a:graphic><a:graphicData uri="{main}/picture"><pic:pic>'
            f"<pic:nvPicPr><pic:cNvPr {facts}/><pic:cNvPicPr/></pic:nvPicPr>"
            f'<pic:blipFill><a:blip r:embed="{name}"/><a:stretch><a:fillRect/></a:stretch></pic:blipFill>'
            f'<pic:spPr><a:xfrm><a:off x="0" y="0"/><a:ext {extent}/></a:xfrm>'
            f'<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr>'
            f"</pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
        )
