"""Page, fonts and styles of an official document after GB/T 9704-2012, as Word knows them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, cast

from eduq.locale import Lang

if TYPE_CHECKING:
    from docx.document import Document

__all__ = [
    "FONT_NAMES",
    "W",
    "add_styles",
    "mark_paragraph",
    "page_properties",
    "parse_fragment",
    "set_page",
    "set_styles",
    "title_size",
]

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
FONT_NAMES = {
    "仿宋_GB2312": ("仿宋", "FangSong", "STFangsong", "Noto Serif CJK SC"),
    "方正小标宋简体": ("方正小标宋_GBK", "小标宋", "宋体", "SimSun", "Noto Serif CJK SC"),
    "黑体": ("SimHei", "Heiti SC", "Noto Sans CJK SC"),
    "楷体_GB2312": ("楷体", "KaiTi", "STKaiti", "Noto Serif CJK SC"),
    "宋体": ("SimSun", "Songti SC", "Noto Serif CJK SC"),
}
"""Fonts that are named, each with the names that may stand in for it."""
_BODY, _TITLE, _BLACK, _KAI, _SONG = FONT_NAMES
_LATIN = "Times New Roman"
_MM = 1440 / 25.4
_PAPER = (11906, 16838)
_TOP, _BOTTOM, _LEFT, _RIGHT = (round(mm * _MM) for mm in (37, 35, 28, 26))
_HEADER, _FOOTER = round(24 * _MM), round(22 * _MM)
_CLOSER = -5
"""Twentieths of a point taken between characters of 16 points, so that 28 of them make the 156 mm of a line."""
_SIZES: dict[Lang, dict[str, float]] = {
    "zh": {"body": 16, "line": 28.95, "title": 22, "title_line": 32, "head": 16, "note": 10.5, "note_line": 16},
    "en": {"body": 12, "line": 19, "title": 20, "title_line": 27, "head": 13, "note": 9.5, "note_line": 13.5},
}


def title_size(lang: Lang) -> float:
    """Return the size of a title's type in points."""
    return _SIZES[lang]["title"]


def parse_fragment(xml: str) -> Any:
    """Return an element of Word's XML."""
    from docx.oxml import parse_xml

    return parse_xml(xml)


def page_properties(references: str, *, turned: bool) -> str:
    """Return the section properties of a page as it stands or turned, with its margins and headers."""
    wide, high = _PAPER[::-1] if turned else _PAPER
    orient = ' w:orient="landscape"' if turned else ""
    top, right, bottom, left = (_LEFT, _TOP, _RIGHT, _BOTTOM) if turned else (_TOP, _RIGHT, _BOTTOM, _LEFT)
    header, footer = (round(15 * _MM), round(13 * _MM)) if turned else (_HEADER, _FOOTER)
    return (
        f'{references}<w:type w:val="nextPage"/><w:pgSz w:w="{wide}" w:h="{high}"{orient}/>'
        f'<w:pgMar w:top="{top}" w:right="{right}" w:bottom="{bottom}" w:left="{left}" w:header="{header}" w:footer="{footer}" '
        f'w:gutter="0"/>'
    )


def _fonts(east: str, latin: str = _LATIN) -> str:
    return f'<w:rFonts w:ascii="{latin}" w:hAnsi="{latin}" w:cs="{latin}" w:eastAsia="{east}"/>'


def _style(
    name: str,
    shown: str,
    east: str,
    size: float,
    line: float,
    *,
    indent: float = 0,
    align: str = "both",
    level: int | None = None,
    keep: bool = False,
    before: float = 0,
    after: float = 0,
    bold: bool = False,
    grid: bool = True,
    hanging: float = 0,
    right: float = 0,
    exact: bool = True,
) -> str:
    """Return a paragraph style; sizes in points, indents in characters of its size."""
    heading = "" if level is None else f'<w:outlineLvl w:val="{level}"/>'
    first = f'w:firstLineChars="{round(indent * 100)}" w:firstLine="{round(indent * size * 20)}"' if indent else 'w:firstLine="0"'
    if hanging:
        first = f'w:left="{round(hanging * size * 20)}" w:hanging="{round(hanging * size * 20)}"'
    side = f' w:right="{round(right * size * 20)}"' if right else ""
    rule = "exact" if exact else "atLeast"
    closer = f'<w:spacing w:val="{_CLOSER}"/>' if size == 16 else ""
    snap = "" if grid else '<w:snapToGrid w:val="0"/>'
    return (
        f'<w:style {W} w:type="paragraph" w:customStyle="1" w:styleId="{name}"><w:name w:val="{escape(shown)}"/>'
        f'<w:basedOn w:val="Normal"/><w:qFormat/><w:pPr>{"<w:keepNext/>" if keep else ""}<w:widowControl/>'
        f'{snap}<w:spacing w:before="{round(before * 20)}" w:after="{round(after * 20)}" '
        f'w:line="{round(line * 20)}" w:lineRule="{rule}"/>'
        f'<w:ind {first}{side}/><w:jc w:val="{align}"/>{heading}</w:pPr>'
        f'<w:rPr>{_fonts(east)}{"<w:b/>" if bold else ""}<w:color w:val="000000"/>{closer}<w:sz w:val="{round(size * 2)}"/>'
        f'<w:szCs w:val="{round(size * 2)}"/></w:rPr></w:style>'
    )


def _all_styles(lang: Lang) -> list[str]:
    zh = lang == "zh"
    size = _SIZES[lang]
    body, line, note, note_line = size["body"], size["line"], size["note"], size["note_line"]
    indent, align, after = (2, "both", 0) if zh else (0, "left", 6)
    heads = (
        ("EduqHeading1", "eduq heading 1", _BLACK, 0),
        ("EduqHeading2", "eduq heading 2", _KAI, 1),
    )
    found = [
        _style(
            name, shown, east, size["head"], line, indent=indent, align="left", level=level, keep=True, after=after, bold=not zh
        )
        for name, shown, east, level in heads
    ]
    small = {"align": align, "grid": False, "exact": False}
    return [
        *found,
        _style("EduqTitle", "eduq title", _TITLE, size["title"], size["title_line"], align="center", after=line, bold=not zh),
        _style("EduqDocumentNo", "eduq document number", _BODY, body, line, align="center", after=line),
        _style("EduqRecipients", "eduq recipients", _BODY, body, line, align="left", after=after),
        _style("EduqText", "eduq text", _BODY, body, line, indent=indent, align=align, after=after),
        _style("EduqFill", "eduq to fill", _KAI, body, line, indent=indent, align=align, after=after),
        _style("EduqItem", "eduq item", _BODY, body, line, indent=indent, hanging=0 if zh else 1.4, align=align, after=after / 2),
        _style("EduqNote", "eduq note", _SONG, note, note_line, after=3, **cast("Any", small)),
        _style("EduqWarning", "eduq warning", _BLACK, note, note_line, after=3, **cast("Any", small)),
        _style(
            "EduqCaption",
            "eduq caption",
            _BLACK,
            12 if zh else 10.5,
            18,
            align="left",
            keep=True,
            before=8,
            after=3,
            grid=False,
            exact=False,
        ),
        _style("EduqCell", "eduq cell", _SONG, 10.5, 13, align="left", grid=False, exact=False),
        _style("EduqFigure", "eduq figure", _SONG, 10.5, 13, align="center", keep=True, grid=False, exact=False),
        _style("EduqAttachments", "eduq attachments", _BODY, body, line, indent=indent, align="left"),
        _style("EduqClosing", "eduq closing", _BODY, body, line, align="right", right=4 if zh else 0),
        _style("EduqAnnex", "eduq annex label", _BLACK, body, line, align="left", keep=True, bold=not zh),
        _style(
            "EduqAnnexTitle",
            "eduq annex title",
            _TITLE,
            size["title"] - 2,
            size["title_line"],
            align="center",
            level=0,
            keep=True,
            after=8,
            bold=not zh,
        ),
        _style("EduqMark", "eduq mark", _BLACK, 10.5, 14, align="left", grid=False),
        _style("EduqPageOdd", "eduq page number odd", _SONG, 14, 18, align="right", right=1, grid=False),
        _style("EduqPageEven", "eduq page number even", _SONG, 14, 18, indent=1, align="left", grid=False),
        _style("EduqTurn", "eduq turn of the page", _SONG, 1, 1, grid=False),
    ]


def set_styles(document: Document, lang: Lang) -> None:
    """Give the document its styles and name its fonts with those that may stand in."""
    from docx.oxml.ns import qn

    styles = document.styles.element
    kept = {"Normal", "TableNormal", "DefaultParagraphFont", "NoList", "Header", "Footer"}
    for style in list(styles.iterchildren(qn("w:style"))):
        if style.get(qn("w:styleId")) not in kept:
            styles.remove(style)
    size = _SIZES[lang]["body"]
    defaults = styles.find(qn("w:docDefaults"))
    if defaults is not None:
        styles.remove(defaults)
    styles.insert(
        0,
        parse_fragment(
            f"<w:docDefaults {W}><w:rPrDefault><w:rPr>{_fonts(_BODY)}"
            f'<w:sz w:val="{round(size * 2)}"/><w:szCs w:val="{round(size * 2)}"/>'
            f"<w:lang {_tongues(lang)}/></w:rPr></w:rPrDefault>"
            f'<w:pPrDefault><w:pPr><w:spacing w:before="0" w:after="0"/></w:pPr></w:pPrDefault></w:docDefaults>'
        ),
    )
    for xml in _all_styles(lang):
        styles.append(parse_fragment(xml))
    for part in document.part.package.iter_parts():
        if part.partname == "/word/fontTable.xml":
            part._blob = _font_table()


def add_styles(document: Document, lang: Lang) -> None:
    """Give a document of others the styles of ours that it lacks; those it has of the same name stay as they are."""
    from docx.oxml.ns import qn

    styles = document.styles.element
    known = {style.get(qn("w:styleId")) for style in styles.iterchildren(qn("w:style"))}
    for xml in _all_styles(lang):
        style = parse_fragment(xml)
        if style.get(qn("w:styleId")) not in known:
            style.find(qn("w:rPr")).append(parse_fragment(f"<w:lang {W} {_tongues(lang)}/>"))
            styles.append(style)


def _tongues(lang: Lang) -> str:
    return f'w:val="{"en-US" if lang == "zh" else "en-GB"}" w:eastAsia="zh-CN" w:bidi="ar-SA"'


def _font_table() -> bytes:
    named = "".join(
        f'<w:font w:name="{name}"><w:altName w:val="{",".join(others)}"/><w:charset w:val="86"/><w:family w:val="auto"/></w:font>'
        for name, others in FONT_NAMES.items()
    )
    family = '<w:charset w:val="00"/><w:family w:val="roman"/>'
    latin = f'<w:font w:name="{_LATIN}"><w:altName w:val="Liberation Serif"/>{family}</w:font>'
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return f"{head}<w:fonts {W}>{named}{latin}</w:fonts>".encode()


def mark_paragraph(audience: str, draft: str | None) -> str:
    """Return the paragraph of a page's head: whom it is for, and that it is a draft."""
    said = " · ".join(shown for shown in (audience, draft) if shown)
    return f'<w:p {W}><w:pPr><w:pStyle w:val="EduqMark"/></w:pPr><w:r><w:t xml:space="preserve">{escape(said)}</w:t></w:r></w:p>'


def _number(style: str) -> str:
    """Return the paragraph of a page's foot: — 1 —."""
    field = "".join(
        f"<w:r>{inner}</w:r>"
        for inner in (
            '<w:t xml:space="preserve">— </w:t>',
            '<w:fldChar w:fldCharType="begin"/>',
            '<w:instrText xml:space="preserve"> PAGE </w:instrText>',
            '<w:fldChar w:fldCharType="separate"/>',
            "<w:t>1</w:t>",
            '<w:fldChar w:fldCharType="end"/>',
            '<w:t xml:space="preserve"> —</w:t>',
        )
    )
    return f'<w:p {W}><w:pPr><w:pStyle w:val="{style}"/></w:pPr>{field}</w:p>'


def set_page(document: Document, audience: str, draft: str | None) -> str:
    """Give the document its heads and feet and return the references a section needs to show them."""
    from docx.oxml.ns import qn

    document.settings.odd_and_even_pages_header_footer = True
    section = document.sections[0]
    wanted = (
        (section.header, mark_paragraph(audience, draft)),
        (section.even_page_header, mark_paragraph(audience, draft)),
        (section.footer, _number("EduqPageOdd")),
        (section.even_page_footer, _number("EduqPageEven")),
    )
    for holder, xml in wanted:
        holder.is_linked_to_previous = False
        element = holder._element
        for paragraph in list(element):
            element.remove(paragraph)
        element.append(parse_fragment(xml))
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    references = []
    for tag in ("headerReference", "footerReference"):
        for found in section._sectPr.iterchildren(qn(f"w:{tag}")):
            kind, name = found.get(qn("w:type")), found.get(qn("r:id"))
            references.append(f'<w:{tag} xmlns:r="{rel}" w:type="{kind}" r:id="{name}"/>')
    return "".join(references)
