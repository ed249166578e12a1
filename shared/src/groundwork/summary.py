"""What a package's labs say together: a row for each estimator, and geometric means.

Labs that hold estimators against a library measure under shared names (`groundwork.estimators`):
the comparisons `fit.NAME` and `predict.NAME`, the metrics `score.NAME` and `score_reference.NAME`.
Here they become the rows of a table, and of all ratios of a kind the geometric mean, under the
metric names `geometric_mean.fit` and `geometric_mean.predict`; a package claims those in
`labs/__init__.py`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from groundwork.claims import Claim, check_claims

KINDS = ("fit", "predict")


@dataclass(frozen=True)
class Row:
    """An estimator's numbers beside its reference's; None where a lab did not measure one."""

    name: str
    lab: str
    library: str
    score: float | None
    score_reference: float | None
    unit: str
    ratios: Mapping[str, float | None]


def rows(runs: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """The estimators that runs (or records) have timed, in their order."""
    for run in runs:
        comparisons, metrics = run["comparisons"], run["metrics"]
        for key, comparison in comparisons.items():
            kind, _, name = key.partition(".")
            if kind != "fit" or not name:
                continue
            score = metrics.get(f"score.{name}", {})
            yield Row(
                name=name,
                lab=run["lab"],
                library=comparison["library"],
                score=score.get("value"),
                score_reference=metrics.get(f"score_reference.{name}", {}).get("value"),
                unit=score.get("unit", ""),
                ratios={
                    other: comparisons.get(f"{other}.{name}", {}).get("ratio") for other in KINDS
                },
            )


def geometric_means(table: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """`geometric_mean.fit` and `geometric_mean.predict`, as metrics."""
    listed = list(table)
    means = {}
    for kind in KINDS:
        ratios = [ratio for row in listed if (ratio := row.ratios[kind]) is not None]
        if ratios:
            mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
            means[f"geometric_mean.{kind}"] = {"value": mean, "unit": "×", "n": len(ratios)}
    return means


def check(
    claims: list[Claim], preset: str, runs: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The verdicts on a package's own claims, from its labs' runs with one preset."""
    return check_claims(claims, preset, geometric_means(rows(runs)), {})
