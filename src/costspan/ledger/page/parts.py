"""What the views are built of: HTML elements whose text is only ever text, tables, charts, and the frame around them all.

Data goes into texts and into the values of properties, never into HTML, into a property's name, or into a template.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

ASSETS: Final = Path(__file__).parent / "assets"
TITLE: Final = "costspan"
_NAVIGATION: Final = (("/", "Overview"), ("/calls", "Calls"), ("/reports", "Reports"))


class Tag(TextElement):
    """An element of HTML: ``Tag("a", "more", "cs-button", href="/")``. A name's underscores are dashes, a last one is dropped."""

    def __init__(self, tag: str, text: str = "", classes: str = "", **attributes: Any) -> None:
        super().__init__(tag=tag, text=text)
        if classes:
            self.classes(classes)
        for name, value in attributes.items():
            if value is not None:
                self._props[name.rstrip("_").replace("_", "-")] = value


class Grid(Element, component="assets/grid.js"):
    """A table of columns ``{"label", "number", "head", "name", "wide", "long", "href", "sorted"}``, a cell as in `page.shown`."""

    def __init__(self, caption: str, columns: Sequence[dict[str, Any]], rows: Sequence[Sequence[dict[str, Any]]]) -> None:
        super().__init__()
        self._props["caption"] = caption
        self._props["columns"] = list(columns)
        self._props["rows"] = list(rows)

    def show(self, rows: Sequence[Sequence[dict[str, Any]]]) -> None:
        """Other rows in the same columns."""
        if self._props["rows"] != list(rows):
            self._props["rows"] = list(rows)
            self.update()

    def empty(self, text: str) -> "Grid":
        """What stands there where there is no row."""
        self._props["empty"] = text
        return self


class ThemeButton(Element, component="assets/theme.js"):
    """Goes from the system's theme to light to dark."""


class Field:
    """A labelled control of a form."""

    def __init__(self, name: str, label: str, value: str = "", **attributes: Any) -> None:
        with Tag("div", classes=attributes.pop("classes", "cs-field")):
            identity = f"field-{name}"
            Tag("label", label, for_=identity)
            options: dict[str, str] | None = attributes.pop("options", None)
            suggestions: Sequence[str] = attributes.pop("suggestions", ())
            if options is not None:
                with Tag("select", name=name, id=identity, **attributes):
                    for key, said in options.items():
                        Tag("option", said, value=key, selected=key == value or None)
                return
            listed = f"{identity}-list" if suggestions else None
            Tag("input", name=name, id=identity, value=value, list=listed, autocomplete="off", **attributes)
            if suggestions:
                with Tag("datalist", id=listed):
                    for one in suggestions:
                        Tag("option", value=one)


def frame(place: str, here: str, title: str) -> None:
    """Header, navigation and footer around a view. `here` is the path of its part."""
    ui.page_title(f"{title} · {TITLE}")
    client = ui.context.client
    with client.layout:
        with Tag("header", classes="cs-top") as header, Tag("div", classes="cs-top-in"):
            with Tag("a", classes="cs-brand", href="/"):
                Tag("span", "cost")
                Tag("b", "span")
            with Tag("nav", classes="cs-nav", aria_label="Main"):
                for path, name in _NAVIGATION:
                    Tag("a", name, href=path, aria_current="page" if path == here else None)
            ThemeButton()
        Tag("footer", f"{place} · all times are UTC", "cs-foot")
    header.move(target_index=0)
    ui.skip_link(target=client.content)


def heading(title: str, said: str = "") -> None:
    """A view's first heading and the sentence under it."""
    with Tag("div"):
        Tag("h1", title)
        if said:
            Tag("p", said, "cs-sub")


def alert(text: str) -> None:
    """What went wrong, told to screen readers too."""
    Tag("p", text, "cs-alert", role="alert")


def chart(options: dict[str, Any], said: str) -> ui.echart:
    """A chart in the page's own colours, whichever they are: SVG takes CSS variables. `said` is what a screen reader reads."""
    element = ui.echart(options, renderer="svg").classes("cs-chart")
    element.props["role"] = "img"
    element.props["aria-label"] = said
    return element


_FONT: Final = "system-ui, sans-serif"
_TEXT: Final = {"color": "var(--muted)", "fontFamily": _FONT, "fontSize": 12}
_PLAIN: Final[dict[str, Any]] = {
    "animation": False,
    "textStyle": _TEXT,
    "tooltip": {
        "trigger": "axis",
        "axisPointer": {"type": "none"},
        "backgroundColor": "var(--surface)",
        "borderColor": "var(--line)",
        "textStyle": {"color": "var(--text)", "fontFamily": _FONT, "fontSize": 13},
        # a constant of this file: no data is ever part of a script
        ":valueFormatter": "(value) => value == null ? '-' : value.toLocaleString('en', { maximumSignificantDigits: 6 })",
    },
}
_BARS: Final[dict[str, Any]] = {
    "type": "bar",
    "itemStyle": {"color": "var(--accent)", "borderRadius": 2},
    "emphasis": {"disabled": True},
    "barMaxWidth": 26,
}


def columns_chart(names: Sequence[str], values: Sequence[float | None], measure: str) -> dict[str, Any]:
    """Upright bars along time."""
    return {
        **_PLAIN,
        "grid": {"left": 12, "right": 14, "top": 14, "bottom": 4, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": list(names),
            "axisLine": {"lineStyle": {"color": "var(--line)"}},
            "axisTick": {"show": False},
            "axisLabel": {**_TEXT, "hideOverlap": True},
        },
        "yAxis": {"type": "value", "splitLine": {"lineStyle": {"color": "var(--line)"}}, "axisLabel": _TEXT, "splitNumber": 4},
        "series": [{**_BARS, "name": measure, "data": list(values)}],
    }


def bars_chart(names: Sequence[str], values: Sequence[float | None], measure: str) -> dict[str, Any]:
    """Lying bars, the first row on top."""
    label = {**_TEXT, "width": 280, "overflow": "truncate"}
    narrow = {"yAxis": {"axisLabel": {"width": 110}}}
    return {
        **_PLAIN,
        "grid": {"left": 12, "right": 28, "top": 4, "bottom": 4, "containLabel": True},
        "xAxis": {
            "type": "value",
            "splitLine": {"lineStyle": {"color": "var(--line)"}},
            "axisLabel": {**_TEXT, "hideOverlap": True},
        },
        "yAxis": {
            "type": "category",
            "data": list(names),
            "inverse": True,
            "axisLine": {"show": False},
            "axisTick": {"show": False},
            "axisLabel": label,
        },
        "series": [{**_BARS, "barMaxWidth": 18, "name": measure, "data": list(values)}],
        "media": [{"query": {"maxWidth": 600}, "option": narrow}, {"option": {"yAxis": {"axisLabel": label}}}],
    }
