"""Items: importing, storing and writing them, and finding those that a message speaks of."""

from rarec.catalogue.fields import Rejection
from rarec.catalogue.importing import ImportReport, RowsRejected, import_items, read_items
from rarec.catalogue.linker import Linker
from rarec.catalogue.starter import starter_items
from rarec.catalogue.store import CatalogueStore, Changes, Counts
from rarec.catalogue.text import Layout, LayoutLine, item_text, load_layout

__all__ = [
    "CatalogueStore",
    "Changes",
    "Counts",
    "ImportReport",
    "Layout",
    "LayoutLine",
    "Linker",
    "Rejection",
    "RowsRejected",
    "import_items",
    "item_text",
    "load_layout",
    "read_items",
    "starter_items",
]
