"""Small pieces of SVG, all text escaped; colours come from the page's style sheet by class."""

from __future__ import annotations

import math
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
    """A straight or logarithmic map from values to positions, clipped at both ends."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, x = self.low, self.high, min(max(value, self.low), self.high)
        if self.is_log:
            low, high, x = math.log10(low), math.log10(high), math.log10(x)
        share = (x - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, n_most: int = 6) -> list[float]:
    """Return round values between two ends, at most ``n_most``, for an axis.

    Example:
        >>> ticks(0.0, 0.87), ticks(0.884, 0.93)
        ([0.0, 0.2, 0.4, 0.6, 0.8], [0.89, 0.9, 0.91, 0.92, 0.93])
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / n_most))
    steps = (factor * power for factor in (1, 2, 5, 10, 20))
    step = next(s for s in steps if math.floor(high / s + 1e-9) - math.ceil(low / s - 1e-9) < n_most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _attribute(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
