"""What the drawn pictures share. Each has an opaque card of its own: it reads on a light page and on a dark."""

WIDTH = 830  # CSS pixels: as wide as GitHub shows a README's pictures
SCALE = 2  # pixels of a file for each of those

CARD, PANEL, EDGE = "#111a2e", "#18233b", "#33435f"
INK, FAINT = "#e9eef8", "#a9b7d0"
BLUE, VIOLET, AMBER, GREEN, RED = "#63a8ff", "#b79bff", "#f5b754", "#4fd08a", "#ff6b6b"
