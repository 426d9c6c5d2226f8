"""The page as Vite built it."""

from pathlib import Path
from typing import Final

BUILT: Final = Path(__file__).parent / "page"
"""Where it lies."""
