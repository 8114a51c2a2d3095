"""Colours, sizes and the card that the drawn pictures share.

Each picture has an opaque card, so that it can be read on a light page and on a dark one.
"""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.transforms import Affine2D

WIDTH = 830  # CSS pixels: as wide as GitHub shows a README's pictures
SCALE = 2  # pixels of a file for each of those
PIXELS_AN_INCH = 100

CARD, PANEL, EDGE = "#111a2e", "#18233b", "#33435f"
INK, FAINT = "#e9eef8", "#a9b7d0"
BLUE, VIOLET = "#63a8ff", "#b79bff"
GREEN, AMBER, ORANGE, RED = "#4fd08a", "#f2cc57", "#ff9a4a", "#ff6b6b"

# Sizes of letters, in the points that matplotlib counts in.
SMALL, NORMAL, LARGE = (72 / PIXELS_AN_INCH * pixels for pixels in (11.2, 12.5, 17))

# For matplotlib.rc_context, whose own type lists every name there is.
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it along
    "font.size": SMALL,
    "text.color": INK,
    "axes.facecolor": PANEL,
    "axes.edgecolor": EDGE,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": EDGE,
    "grid.linewidth": 0.5,
    "xtick.color": EDGE,
    "ytick.color": EDGE,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "xtick.major.size": 2,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.labelcolor": FAINT,
    "legend.borderaxespad": 0,
    "legend.handlelength": 1,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
}


class Card:
    """A figure with rounded corners. Its parts are placed in CSS pixels from the upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        size = WIDTH / PIXELS_AN_INCH, height / PIXELS_AN_INCH
        self.figure = Figure(figsize=size, dpi=PIXELS_AN_INCH * SCALE)
        self.figure.patch.set_alpha(0)
        self.box(0.5, 0.5, WIDTH - 1, height - 1, CARD, rounding=14)

    def box(
        self, x: float, y: float, width: float, height: float, colour: str = PANEL, rounding: float = 8
    ) -> None:
        """Draw a rectangle with rounded corners, behind everything else."""
        pixels = Affine2D().scale(1 / PIXELS_AN_INCH) + self.figure.dpi_scale_trans
        shape = FancyBboxPatch(
            (x, self.height - y - height),
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={rounding}",
            facecolor=colour,
            edgecolor=EDGE,
            linewidth=0.7,
            transform=pixels,
            zorder=-1,
        )
        self.figure.add_artist(shape)

    def text(self, x: float, y: float, line: str, **properties: Any) -> None:
        """Write a line of text; its baseline begins at x, y."""
        self.figure.text(x / WIDTH, 1 - y / self.height, line, **properties)

    def axes(self, x: float, y: float, width: float, height: float, **properties: Any) -> Axes:
        place = (x / WIDTH, 1 - (y + height) / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(place, **properties)

    def save(self, file: Path) -> None:
        self.figure.savefig(file)
