"""Compiled loops over plain arrays: counting, measuring, shrinking. Nothing here knows about torch."""
