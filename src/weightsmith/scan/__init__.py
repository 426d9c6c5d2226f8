"""The one pass over all weights of a source: every statistic of every weight, cached by content."""

from weightsmith.scan.cache import Cache, cache_folder
from weightsmith.scan.scanning import EXECUTORS, scan
from weightsmith.scan.summary import Scan, Summary

__all__ = ["EXECUTORS", "Cache", "Scan", "Summary", "cache_folder", "scan"]
