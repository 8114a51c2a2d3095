"""A drawing of steps and what each waits for: columns from left to right, arrows between the boxes."""

from dataclasses import dataclass, field
from typing import Any

from ..documents import Document

WIDTH, WIDE, HEIGHT = 200, 260, 76  # of a box, in pixels; wide ones have room for longer names
GAP_X, GAP_Y = 44, 22
MARGIN = 12
MOST_NODES, MOST_ARROWS = 400, 2000  # in a drawing: larger ones are unreadable


@dataclass
class Node:
    """A box of the drawing. `facts` is what the template writes into it."""

    key: str
    parents: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    column: int = 0
    place: float = 0.0  # within its column
    x: float = 0.0
    y: float = 0.0


def draw_graph(nodes: list[Node], width: int = WIDTH) -> Document:
    """Return the places of the boxes, of this width, and of the arrows, and the size of the drawing."""
    left_out = len(nodes) - MOST_NODES
    nodes = nodes[:MOST_NODES]
    known = {node.key: node for node in nodes}
    parents = {node.key: [known[key] for key in node.parents if key in known] for node in nodes}
    columns = _columns(nodes, parents)
    _order(columns, parents)
    tallest = max((len(column) for column in columns), default=0)
    height = 2 * MARGIN + tallest * HEIGHT + max(0, tallest - 1) * GAP_Y
    for number, column in enumerate(columns):
        used = len(column) * HEIGHT + (len(column) - 1) * GAP_Y
        for place, node in enumerate(column):
            node.x = MARGIN + number * (width + GAP_X)
            node.y = (height - used) / 2 + place * (HEIGHT + GAP_Y)
    pairs = [(parent, node) for node in nodes for parent in parents[node.key]]
    return {
        "nodes": nodes,
        "arrows": [_arrow(parent, node, width) for parent, node in pairs[:MOST_ARROWS]],
        "arrows_left_out": len(pairs) - MOST_ARROWS,
        "width": 2 * MARGIN + len(columns) * width + max(0, len(columns) - 1) * GAP_X,
        "height": height,
        "left_out": left_out,
        "box": {"width": width, "height": HEIGHT},
    }


def _columns(nodes: list[Node], parents: dict[str, list[Node]]) -> list[list[Node]]:
    """Put each node one column after the last of its parents. Nodes of a circle stay in the first one."""
    waiting = {node.key: len(parents[node.key]) for node in nodes}
    children: dict[str, list[Node]] = {node.key: [] for node in nodes}
    for node in nodes:
        for parent in parents[node.key]:
            children[parent.key].append(node)
    ready = [node for node in nodes if not waiting[node.key]]
    for node in ready:
        for child in children[node.key]:
            child.column = max(child.column, node.column + 1)
            waiting[child.key] -= 1
            if not waiting[child.key]:
                ready.append(child)
    columns: list[list[Node]] = [[] for _ in range(max((node.column for node in nodes), default=-1) + 1)]
    for node in nodes:
        columns[node.column].append(node)
    return [column for column in columns if column]


def _order(columns: list[list[Node]], parents: dict[str, list[Node]]) -> None:
    """Sort each column by the places of the parents, so that few arrows cross."""
    for column in columns:
        for node in column:
            places = [parent.place for parent in parents[node.key]]
            node.place = sum(places) / len(places) if places else 0.0
        column.sort(key=lambda node: node.place)
        for place, node in enumerate(column):
            node.place = place - (len(column) - 1) / 2


def _arrow(parent: Node, node: Node, width: int) -> str:
    """Return the path of an SVG curve from the parent's right side to the node's left side."""
    x1, y1 = parent.x + width, parent.y + HEIGHT / 2
    x2, y2 = node.x - 7, node.y + HEIGHT / 2  # room for the head
    middle = (x1 + x2) / 2
    return f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
