"""Small pieces of SVG, all text escaped; colours come from the page's style sheet by class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

LONGEST_LABEL = 24


def element(name: str, *content: object, **attributes: object) -> Markup:
    """Return one element; ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``.

    Example:
        >>> str(element("text", "<b>", x=1.26, class_="label"))
        '<text x="1.3" class="label">&lt;b&gt;</text>'
    """
    given = Markup("").join(
        Markup(' {}="{}"').format(Markup(key.rstrip("_").replace("_", "-")), _attribute(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(escape(part) for part in content)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), given, inside)


def picture(width: float, height: float, title: str, parts: Iterable[Markup]) -> Markup:
    """Return a whole drawing that scales with the page; ``title`` is read out to those who cannot see it."""
    return element(
        "svg",
        element("title", title),
        Markup("").join(parts),
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        width=f"{width:g}",
        height=f"{height:g}",
    )


def short(text: object, longest: int = LONGEST_LABEL) -> str:
    """Return a label cut to a length; the whole text belongs into a table or tooltip.

    Example:
        >>> short("a" * 30, 5)
        'aaaa…'
    """
    words = str(text)
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


@dataclass(frozen=True)
class Scale:
    """A straight map from values to positions, clipped at both ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        x = min(max(value, self.low), self.high)
        share = (x - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)


def _attribute(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
