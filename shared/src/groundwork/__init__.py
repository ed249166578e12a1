"""Labs, runs, claims, comparisons, records and data sets: what every Groundwork package shares.

Importing this package is cheap: nothing heavier than the standard library is loaded until a run
needs it.
"""

from groundwork.claims import Claim
from groundwork.errors import UsageError
from groundwork.run import Run

__all__ = ["Claim", "Run", "UsageError"]
