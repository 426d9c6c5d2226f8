"""A view of the page as one HTML file: the page itself and the answers that the view needs."""

from weightsmith.web.export.bundle import MEGABYTE, Saved, save
from weightsmith.web.export.document import is_saved
from weightsmith.web.export.place import Place

__all__ = ["MEGABYTE", "Place", "Saved", "is_saved", "save"]
