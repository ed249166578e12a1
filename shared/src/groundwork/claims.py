"""Claims: what a lab promises of its own numbers."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Claim:
    """A metric, an operator and a bound: true or false for each run.

    Parameters
    ----------
    name : the metric, or `ratio.NAME` for the time ratio of the comparison NAME.
    op : one of `<`, `<=`, `==`, `>=`, `>`.
    bound : the value to hold against; for a metric over several seeds, its mean is compared.
    presets : the presets that the claim is made for; None means all of them.
    """

    name: str
    op: str
    bound: float
    presets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ValueError(
                f"claim {self.name}: operator {self.op!r}; one of {', '.join(OPERATORS)} is taken"
            )

    def applies(self, preset: str) -> bool:
        """Whether the claim is made for this preset."""
        return self.presets is None or preset in self.presets

    def check(self, metrics: Mapping[str, Any], comparisons: Mapping[str, Any]) -> dict[str, Any]:
        """Hold the claim against a run's numbers.

        Returns the claim's entry in `run.json`: name, op, bound, value, holds. A claim on a number
        that the run did not measure has the value None and does not hold.
        """
        if self.name.startswith("ratio."):
            value = comparisons.get(self.name.removeprefix("ratio."), {}).get("ratio")
        else:
            value = metrics.get(self.name, {}).get("value")
        holds = value is not None and bool(OPERATORS[self.op](value, self.bound))
        return {
            "name": self.name,
            "op": self.op,
            "bound": self.bound,
            "value": value,
            "holds": holds,
        }


def check_claims(
    claims: Sequence[Claim],
    preset: str,
    metrics: Mapping[str, Any],
    comparisons: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Check every claim made for `preset`; returns their entries in order."""
    return [claim.check(metrics, comparisons) for claim in claims if claim.applies(preset)]
