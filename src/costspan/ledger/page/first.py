"""A view as plain HTML inside the first answer: its figures stand on the screen while NiceGUI's scripts are still being read.

Those scripts are two megabytes, and take a browser three times as long as the ledger takes to sum up a month. The same elements
are drawn by them a moment later, and what is here goes. Text is only ever text: all of it is escaped, as are the values of
attributes; names of tags and attributes are this package's own.
"""

from html import escape
from typing import Any, Final

from nicegui import ui
from nicegui.element import Element

from costspan.ledger.page.parts import Grid, Tag, ThemeButton

_TAGS: Final = {"q-layout": "div", "q-page-container": "div", "q-page": "main"}
"""What Quasar makes of its own."""
_VOID: Final = ("input",)
_SIGNS: Final = {"good": "\N{CHECK MARK}", "bad": "\N{MULTIPLICATION X}"}
_IDENTITY: Final = "cs-first"
_GONE: Final = f"""<script>{{
  const first = document.getElementById("{_IDENTITY}"), can = "a, button, input, select, [tabindex]";
  new MutationObserver((_, observer) => {{
    const app = document.getElementById("app");
    if (!app?.firstChild) return;
    observer.disconnect();
    const place = [...first.querySelectorAll(can)].indexOf(document.activeElement);
    first.remove();
    if (place >= 0) app.querySelectorAll(can)[place]?.focus();
  }}).observe(document.body, {{ childList: true, subtree: true }});
}}</script>"""
"""Takes it away before the frame that has the same from the scripts; what had the focus keeps it."""


def draw_at_once() -> None:
    """Puts the view as it stands now into the first answer. To be called when it is built."""
    ui.add_body_html(f'<div id="{_IDENTITY}">{html(ui.context.client.layout)}</div>{_GONE}')


def html(element: Element) -> str:
    """An element with all that is in it."""
    if isinstance(element, Grid):
        return _grid(element.props)
    if isinstance(element, ThemeButton):
        return '<button type="button" class="cs-button cs-theme" disabled>\N{CIRCLE WITH LEFT HALF BLACK}</button>'
    drawn = element.tag in _TAGS or isinstance(element, Tag | ui.skip_link | ui.echart) or element.tag == "div"
    if not drawn:  # timers and the like
        return ""
    tag = "div" if isinstance(element, ui.echart) else _TAGS.get(element.tag, element.tag)
    props = dict[str, Any](element.props)
    if element.tag in _TAGS or isinstance(element, ui.echart):  # the others are what the component is told
        props = {name: value for name, value in props.items() if name in ("role", "aria-label")}
    classes = f"{element.tag} {' '.join(element.classes)}" if element.tag in _TAGS else " ".join(element.classes)
    said = escape(element.text) if isinstance(element, Tag | ui.skip_link) else ""
    inner = said + "".join(html(child) for child in element.default_slot.children)
    return _tag(tag, inner, {**props, "class": classes or None})


def _tag(name: str, inner: str, attributes: dict[str, Any]) -> str:
    """HTML of one element, whose `inner` is HTML already. True is an attribute without a value; None and False are none."""
    said = "".join(
        f" {key}" if value is True else f' {key}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return f"<{name}{said}>" if name in _VOID else f"<{name}{said}>{inner}</{name}>"


def _grid(props: Any) -> str:
    """A table, as assets/grid.js makes it."""
    columns, rows = props["columns"], props["rows"]
    heads = "".join(_head(column) for column in columns)
    lines = ["".join(_cell(column, cell) for column, cell in zip(columns, row, strict=True)) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    if not rows:
        said = escape(props.get("empty") or "Nothing found.")
        body = f"<tr>{_tag('td', said, {'colspan': len(columns), 'class': 'cs-empty'})}</tr>"
    caption = _tag("caption", escape(props["caption"]), {"class": "cs-hidden"})
    table = _tag("table", f"{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>", {"class": "cs-table"})
    return _tag("div", table, {"class": "cs-scroll", "role": "region", "aria-label": props["caption"], "tabindex": 0})


def _classes(column: dict[str, Any]) -> list[str]:
    return [f"cs-{name}" for name in ("number", "wide", "long", "name") if column.get(name)]


def _head(column: dict[str, Any]) -> str:
    ordered = ' <span aria-hidden="true">\N{DOWNWARDS ARROW}</span>' if column.get("sorted") else ""
    said = escape(column["label"]) + ordered
    if column.get("href"):
        said = _tag("a", said, {"href": column["href"]})
    attributes = {"scope": "col", "class": " ".join(_classes(column)) or None}
    return _tag("th", said, {**attributes, "aria-sort": "descending" if column.get("sorted") else None})


def _cell(column: dict[str, Any], cell: dict[str, Any]) -> str:
    parts: list[str] = []
    if mark := cell.get("mark"):
        parts.append(_tag("span", _SIGNS.get(mark, "!"), {"class": f"cs-mark cs-{mark}", "aria-hidden": "true"}))
    lead = _tag("span", escape(cell["lead"]), {"class": "cs-wide"}) if cell.get("lead") else ""
    said = escape(cell["text"])
    parts.append(_tag("a", lead + said, {"href": cell["href"]}) if cell.get("href") else f"<span>{said}</span>")
    if cell.get("unit"):
        parts.append(_tag("span", escape(cell["unit"]), {"class": "cs-unit"}))
    if (share := cell.get("bar")) is not None:
        bar = _tag("span", "", {"style": f"width: {100 * share}%"})
        parts.append(_tag("span", bar, {"class": "cs-bar", "aria-hidden": "true"}))
    classes = " ".join([*_classes(column), *(["cs-muted"] if cell.get("muted") else [])])
    head = column.get("head")
    return _tag("th" if head else "td", "".join(parts), {"scope": "row" if head else None, "class": classes or None})
