"""Ten tables, each with an honest split, a baseline, a plan's model and a strong one."""

from tabular_labs.schema import Column, Schema, read_csv

__all__ = ["Column", "Schema", "read_csv"]
