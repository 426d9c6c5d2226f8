"""A report in the forms that other programs read: pure functions from a `Report` to text or plain JSON values."""

from weightsmith.rules.reports.github import github
from weightsmith.rules.reports.junit import junit
from weightsmith.rules.reports.sarif import sarif

__all__ = ["github", "junit", "sarif"]
