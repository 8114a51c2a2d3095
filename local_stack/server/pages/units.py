"""How Grafana writes a value: unit, decimals, what it is mapped to, and the colour of its threshold."""

import math
import re
from typing import Any

from ..documents import Document
from .grafana_variables import documents_at, value_at
from .rendering import number

# What values are divided by from some size on, and what stands behind them then.
THOUSANDS = [(1.0, ""), (1e3, " K"), (1e6, " Mil"), (1e9, " Bil"), (1e12, " Tri")]
DECIMAL = [(1.0, " B"), (1e3, " kB"), (1e6, " MB"), (1e9, " GB"), (1e12, " TB")]
BINARY = [(1024.0**power, name) for power, name in enumerate((" B", " KiB", " MiB", " GiB", " TiB"))]
BITS = [(size, name.replace("B", "b")) for size, name in DECIMAL]
TIME = [(1e-9, " ns"), (1e-6, " µs"), (1e-3, " ms"), (1, " s"), (60, " min"), (3600, " h"), (86400, " d")]
# Units that grow by such steps: times what they are of it, and what stands behind all of them.
UNITS: dict[str, tuple[list[tuple[float, str]], float, str]]
UNITS = {"short": (THOUSANDS, 1, ""), "reqps": (THOUSANDS, 1, " req/s"), "ops": (THOUSANDS, 1, " ops/s")}
UNITS |= {"bytes": (BINARY, 1, ""), "decbytes": (DECIMAL, 1, ""), "Bps": (DECIMAL, 1, "/s")}
UNITS |= {"binBps": (BINARY, 1, "/s"), "bps": (BITS, 1, "/s"), "ms": (TIME, 1e-3, ""), "s": (TIME, 1, "")}
BEHIND = {"": "", "none": "", "string": "", "hex": "", "percent": "%"}

# Grafana's colours, in shades that can be read on a light page and on a dark one.
HUES = {"red": "#d9463e", "orange": "#e58a1f", "yellow": "#cfa414", "green": "#2f9e63", "blue": "#3f7ae0"}
HUES |= {"purple": "#8a5fd0", "gray": "#7f8a99"}
SHADES = {"": 0, "super-light": 0.6, "light": 0.35, "semi-dark": -0.15, "dark": -0.35}  # to white, to black
PALETTE = ["#2f9e63", "#cfa414", "#3f7ae0", "#e58a1f", "#d9463e", "#12939a", "#b0679c", "#8a5fd0", "#a8764f"]
TEXT = "var(--text)"  # for charts.js, which knows the page's own
COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3,4}){1,2}|(?:rgb|hsl)a?\([\d., %]{5,40}\)|transparent")


def scale_of(unit: str, largest: float) -> tuple[float, str]:
    """Return what values of a unit are divided by if the largest one is this, and what stands behind them."""
    if unit == "percentunit":
        return 0.01, "%"
    if unit not in UNITS:  # Grafana writes what it does not know behind the value, too
        return 1, BEHIND.get(unit, " " + unit.removeprefix("suffix:").strip()[:20])
    steps, times, behind = UNITS[unit]
    size = abs(largest) * times * (1 + 1e-9) or 1
    factor, name = ([step for step in steps if step[0] <= size] or steps[:1])[-1]
    return factor / times, name + behind


def written(value: float, settings: Document) -> str:
    """Return a number with its unit, with the decimals that are asked for, or as many as it needs."""
    unit, decimals = value_at(settings, "unit", ""), number(settings.get("decimals"))
    if unit == "hex":
        return f"{int(value):X}"
    factor, suffix = scale_of(unit, value)
    size = value / factor
    if decimals is not None and math.isfinite(decimals):
        return f"{size:,.{min(12, max(0, int(decimals)))}f}{suffix}"
    return (f"{size:,.0f}" if abs(size) >= 1000 else f"{size:.4g}") + suffix


def colour(name: Any, otherwise: str = PALETTE[0]) -> str:
    """Return a colour for plotly of Grafana's name for it, or of one that is written out."""
    shade, _, hue = name.rpartition("-") if isinstance(name, str) else ("", "", "")
    if hue in HUES and shade in SHADES:
        part, parts = SHADES[shade], (int(HUES[hue][at : at + 2], 16) for at in (1, 3, 5))
        mixed = (round(each + (255 - each) * part if part > 0 else each * (1 + part)) for each in parts)
        return "#" + "".join(f"{each:02x}" for each in mixed)
    if hue == "text":
        return TEXT
    return name if isinstance(name, str) and COLOUR.fullmatch(name) else otherwise


def faded(own: str, opacity: float) -> str:
    """Return a colour that is not quite opaque."""
    seen = own if re.fullmatch("#[0-9a-f]{6}", own) else HUES["gray"] if own == TEXT else ""
    parts = [str(int(seen[at : at + 2], 16)) for at in (1, 3, 5)] if seen else []
    return f"rgba({','.join(parts)},{min(1, max(0, opacity)):g})" if parts else own


def threshold_steps(settings: Document) -> list[tuple[float, str]]:
    """Return from which value on which colour is meant. Percents are of the range from min to max."""
    least, most = number(settings.get("min")) or 0.0, number(settings.get("max"))
    percent = ((100.0 if most is None else most) - least) / 100
    steps = []
    for step in documents_at(settings, "thresholds.steps"):
        begin = number(step.get("value"))
        if begin is not None and value_at(settings, "thresholds.mode", "") == "percentage":
            begin = least + begin * percent
        steps.append((-math.inf if begin is None else begin, colour(step.get("color"))))
    return sorted(steps, key=lambda step: step[0])


def shown(value: float, settings: Document, otherwise: str) -> tuple[str, str]:
    """Return the text and the colour of a value; `otherwise` is its colour if nothing else decides."""
    if value_at(settings, "color.mode", "thresholds") == "thresholds":
        below = [own for least, own in threshold_steps(settings) if least <= value]
        otherwise = (below or [otherwise])[-1]
    text = written(value, settings)
    for mapping in documents_at(settings, "mappings"):
        result = value_at(mapping, "options", {}).get(f"{value:.15g}")
        if value_at(mapping, "type", "") == "value" and isinstance(result, dict):
            return value_at(result, "text", "") or text, colour(result.get("color"), otherwise)
    return text, otherwise
