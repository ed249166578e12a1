"""The numbers of the benchmark of all backends, as metrics and tables.

The state that is told holds `quality` by (seed, threads) and (backend, precision): accuracy in
points, the largest difference of a logit, size and seconds of compiling, or how it failed; `rows`
by threads: what `benchmarking.measure` gave; `costs` by (backend, precision).
"""

from typing import Any

import numpy as np

from groundwork import Run
from inference_backends.backends import Precision

Combination = tuple[str, Precision]


def tell(
    run: Run,
    combinations: list[Combination],
    absent: dict[str, str],
    state: dict[str, dict[Any, Any]],
    threads: tuple[int, ...],
) -> None:
    """The metrics and the tables."""
    quality = state["quality"]
    first = {count: quality[run.seed, count] for count in threads}
    rows = {
        (row["name"], count, row["batch"]): row
        for count, listed in state["rows"].items()
        for row in listed
    }
    whole = [
        found["eager", "fp32"]["whole"] for (_, n), found in quality.items() if n == threads[-1]
    ]
    run.metric("accuracy", whole, "points")
    listed, lost_int8, missing, disagreeing = [], [], 0, 0
    for name, precision in combinations:
        told, metric = f"{name} {precision}", f"{name}-{precision}"
        seen = [f[name, precision] for (_, n), f in quality.items() if n == threads[-1]]
        failed = next((item["failed"] for item in seen if "failed" in item), None)
        lost = [] if failed else [w - item["points"] for w, item in zip(whole, seen, strict=True)]
        disagreeing += sum(not item.get("agrees", True) for f in quality.values()
                           for key, item in f.items() if key == (name, precision))  # fmt: skip
        if lost:
            run.metric(f"lost.{metric}", lost, "points")
            lost_int8 += [lost] if precision == "int8" else []
        for count in threads:
            entry = first[count][name, precision]
            timed = [row for (n, t, _), row in rows.items() if (n, t) == (told, count)]
            error = (
                failed
                or entry.get("failed")
                or next(filter(None, (r["error"] for r in timed)), None)
            )
            cost = state["costs"].get((name, precision), {})
            missing += bool(error) or not timed or "failed" in cost
            line = {
                "backend": name,
                "precision": precision,
                "used": entry.get("used"),
                "threads": count,
            }
            if not error and timed:
                one, best = timed[0], max(timed, key=lambda row: row["images_per_s"])
                run.metric(f"latency.{metric}@{count}", 1e3 * one["p50_s"], "ms")
                run.metric(f"throughput.{metric}@{count}", best["images_per_s"], "images/s")
                line |= {f"{q} (ms)": 1e3 * one[f"{q}_s"] for q in ("p50", "p95", "p99")}
                line |= {"images/s": best["images_per_s"], "at batch": best["batch"]}
                line |= {"accuracy": entry["points"], "logit error": entry["error"]}
                line |= {"size (kB)": entry["size"] / 1e3, "compiled in (s)": entry["compile_s"]}
            listed.append(line | cost | {"error": error or cost.get("failed")})
    run.metric("expected", len(combinations) * len(threads))
    run.metric("not_measured", missing)
    run.metric("disagreeing", disagreeing)
    if lost_int8:
        run.metric("lost.int8", max(lost_int8, key=np.mean), "points")
    columns = list(dict.fromkeys(key for line in listed for key in line if key != "failed"))
    run.table("backends", listed, columns, "Latency at the smallest batch, throughput at the best")
    run.table("batches", list(rows_of(state)), caption="All batches and numbers of threads")
    if absent:
        run.table("absent", list(absent.items()), ("backend", "why"), "What is not to be had here")


def rows_of(state: dict[str, dict[Any, Any]]) -> list[dict[str, Any]]:
    """All timings, in milliseconds."""
    return [
        {
            "session": row["name"],
            "threads": count,
            "batch": row["batch"],
            **{f"{q} (ms)": 1e3 * row[f"{q}_s"] for q in ("p50", "p95", "p99")},
            "images/s": row["images_per_s"],
            "calls": row["calls"],
        }
        for count, listed in state["rows"].items()
        for row in listed
    ]
