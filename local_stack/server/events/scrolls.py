"""Where each client stands in a list that it walks through: scroll ids stand for such places.

They are in memory and the oldest are forgotten, as on ClearML's server, where they expire.
"""

from collections import OrderedDict
from weakref import WeakKeyDictionary

from ..documents import Document
from ..store import Store, new_id

MOST_SCROLLS = 1000

_scrolls: WeakKeyDictionary[Store, OrderedDict[str, Document]] = WeakKeyDictionary()


def find_scroll(store: Store, scroll_id: str | None) -> Document | None:
    """Return the place of a scroll id, which its reader may change, or None if the id is not known."""
    scrolls = _scrolls.get(store)
    if scroll_id is None or scrolls is None or scroll_id not in scrolls:
        return None
    scrolls.move_to_end(scroll_id)
    return scrolls[scroll_id]


def begin_scroll(store: Store, place: Document) -> Document:
    """Keep a new place, and return it with its scroll id under "id"."""
    scrolls = _scrolls.setdefault(store, OrderedDict())
    scroll = {**place, "id": new_id()}
    scrolls[scroll["id"]] = scroll
    if len(scrolls) > MOST_SCROLLS:
        scrolls.popitem(last=False)
    return scroll
