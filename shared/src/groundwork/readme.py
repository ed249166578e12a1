"""The parts of the README files that are written from the records, between markers.

`<!-- results:start -->` … `<!-- results:end -->` in a package's README, in one that has estimators
also `<!-- estimators:start -->` … `<!-- estimators:end -->`, in one that opens with the picture and
the tables of its first lab `<!-- opening:start -->` … `<!-- opening:end -->`, and
`<!-- packages:start -->` … `<!-- packages:end -->` in the root's.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groundwork import files, summary
from groundwork.errors import UsageError
from groundwork.records import Record, find_records, member_records
from groundwork.terminal import counted, number, seconds_text
from groundwork.workspace import Member, Workspace

GROUP_TITLES = {
    "shared": "Shared",
    "projects": "Projects",
    "casestudies": "Case studies",
    "capstones": "Capstones",
}


def write_readmes(workspace: Workspace, *, check: bool = False) -> list[Path]:
    """Bring every README's written part up to date; returns those that changed (or would)."""
    changed = []
    for member in workspace.members():
        if member.readme.is_file() and member.labs():
            block = results_block(member)
            changed += _replace(member.readme, "results", block, check)
            if "<!-- estimators:start -->" in member.readme.read_text("utf-8"):
                block = estimators_block(member)
                changed += _replace(member.readme, "estimators", block, check)
            if "<!-- opening:start -->" in member.readme.read_text("utf-8"):
                changed += _replace(member.readme, "opening", opening_block(member), check)
    root = workspace.root / "README.md"
    if root.is_file():
        changed += _replace(root, "packages", packages_block(workspace), check)
    return changed


def results_block(member: Member) -> str:
    """The Markdown of a package's results: a summary of its labs, then each record."""
    records = member_records(member)
    best: dict[str, Record] = {}
    for record in records:
        best.setdefault(record.lab, record)
    lines = ["| lab | what it does | claims | record |", "| --- | --- | --- | --- |"]
    for lab in member.labs():
        link = f"[`{lab.name}`](src/{member.import_name}/labs/{lab.path.name})"
        lines.append(f"| {link} | {_cell(lab.summary)} | {_verdict(best.get(lab.name))} |")
    for lab in member.labs():
        if lab.name in best:
            lines += ["", *_record_section(member, best[lab.name])]
    return "\n".join(lines)


def estimators_block(member: Member) -> str:
    """The Markdown table of estimators: both scores, and the ratios of the times.

    Its last row holds the geometric means, with the verdict where the package claims them.
    """
    records = [record.data for record in member_records(member) if record.preset == "full"]
    table = list(summary.rows(records))
    lines = [
        "| estimator | reference | score, ours | score, reference | fit | predict |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in table:
        unit = "" if row.unit in ("", "points") else f" {row.unit}"
        scores = [
            "–" if value is None else f"{value:.2f}{unit}"
            for value in (row.score, row.score_reference)
        ]
        ratios = ["–" if (r := row.ratios[kind]) is None else f"{r:.2f}×" for kind in summary.KINDS]
        name = f"[`{row.name}`](#{row.lab})"
        lines.append(f"| {' | '.join([name, _cell(row.library), *scores, *ratios])} |")
    means = summary.geometric_means(table)
    if not means:
        return "No estimator is recorded yet."
    verdicts = {v["name"]: v for v in summary.check(member.claims(), "full", records)}
    cells = []
    for kind in summary.KINDS:
        name = f"geometric_mean.{kind}"
        claim = _claim(verdicts.get(name))
        cells.append(f"{means[name]['value']:.2f}× {claim}".strip() if name in means else "–")
    lines.append(f"| geometric mean | | | | {' | '.join(cells)} |")
    return "\n".join(lines)


def opening_block(member: Member) -> str:
    """The first figure and all tables of the first lab's best record, as Markdown."""
    record = next((r for r in member_records(member) if r.lab == member.labs()[0].name), None)
    if record is None:
        return "Not recorded yet."
    where = record.folder.relative_to(member.path).as_posix()
    entries = record.data["files"]
    figures = [entry for entry in entries if entry["kind"] == "figure"]
    lines = [f"![{_cell(entry['caption'])}]({where}/{entry['path']})" for entry in figures[:1]]
    for entry in entries:
        if entry["kind"] == "table":
            kept = json.loads((record.folder / entry["path"]).read_text("utf-8"))
            lines += ["", *_markdown_table(kept["columns"], kept["rows"])]
            lines += ["", f"<sub>{_cell(entry['caption'])}; preset `{record.preset}`.</sub>"]
    return "\n".join(lines)


def _markdown_table(columns: list[str], rows: list[list[Any]]) -> Iterable[str]:
    numeric = [all(isinstance(row[k], int | float) for row in rows) for k in range(len(columns))]
    yield f"| {' | '.join(map(_cell, columns))} |"
    yield f"| {' | '.join('---:' if right else '---' for right in numeric)} |"
    for row in rows:
        yield f"| {' | '.join(_cell(number(value)) for value in row)} |"


def packages_block(workspace: Workspace) -> str:
    """The Markdown table of all packages: labs, records, claims."""
    records = find_records(workspace)
    lines = [
        "| package | what it is | labs | recorded | claims that hold |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for member in workspace.members():
        labs = member.labs()
        own = [record for record in records if record.package == member.name]
        claims = [claim for record in own for claim in record.data["claims"]]
        held = f"{sum(claim['holds'] for claim in claims)} of {len(claims)}" if claims else "–"
        recorded = f"{len({record.lab for record in own})} of {len(labs)}" if labs else "–"
        path = member.path.relative_to(workspace.root).as_posix()
        lines.append(
            f"| [`{member.name}`]({path}) | {_cell(member.description)} "
            f"| {len(labs) or '–'} | {recorded} | {held} |"
        )
    return "\n".join(lines)


def _verdict(record: Record | None) -> str:
    if record is None:
        return "– | not recorded yet"
    claims = record.data["claims"]
    held = sum(claim["holds"] for claim in claims)
    mark = {"holds": "✅", "fails": "❌", "stale": "🕓"}[record.state]
    text = {"holds": "holds", "fails": "fails", "stale": "older than the code"}[record.state]
    return f"{held} of {len(claims)} | {mark} `{record.preset}`, {text}"


def _record_section(member: Member, record: Record) -> Iterable[str]:
    data = record.data
    where = record.folder.relative_to(member.path).as_posix()
    machine = data["machine"]
    yield f"### {record.lab}"
    yield ""
    yield "```"
    yield f"uv run groundwork run {record.package}/{record.lab} --preset {record.preset}"
    yield "```"
    yield ""
    claims = {claim["name"]: claim for claim in data["claims"]}
    yield "| measured | value | claim |"
    yield "| --- | ---: | --- |"
    for name, metric in data["metrics"].items():
        value = number(metric["value"])
        if "std" in metric:
            value += f" ± {number(metric['std'])} (n = {metric['n']})"
        unit = f" {metric['unit']}" if metric["unit"] else ""
        yield f"| {_label(name)} | {value}{unit} | {_claim(claims.get(name))} |"
    for name, c in data["comparisons"].items():
        value = f"{c['ratio']:.2f}× ({c['low']:.2f} to {c['high']:.2f})"
        times = f"{seconds_text(c['ours_s'])} against {seconds_text(c['reference_s'])}"
        label = f"time of {_label(name)} to {_cell(c['library'])}: {times}"
        yield f"| {label} | {value} | {_claim(claims.get(f'ratio.{name}'))} |"
    yield ""
    for entry in data["files"]:
        if entry["kind"] == "figure":
            caption = _cell(entry["caption"]) or record.lab
            yield f"![{caption}]({where}/{entry['path']})"
            yield ""
    commit = (data["commit"] or "unknown")[:10]
    yield (
        f"<sub>{data['started'][:10]}, {data['duration_s']:.0f} s, "
        f"{data['peak_memory_mb']:.0f} MB, seed {data['seed']}; {_cell(machine['cpu'])}, "
        f"{counted(machine['threads'], 'thread')}, Python {machine['python']}; "
        f"commit {commit}{' with changes' if data['dirty'] else ''}</sub>"
    )


def _claim(claim: dict[str, Any] | None) -> str:
    if claim is None:
        return ""
    mark = "✅" if claim["holds"] else "❌"
    return f"{mark} {claim['op']} {number(claim['bound'])}"


def _label(name: str) -> str:
    return f"`{name}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _replace(path: Path, name: str, block: str, check: bool) -> list[Path]:
    text = path.read_text("utf-8")
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise UsageError(f"{path.name} in {path.parent.name} needs one {start} before one {end}")
    head, tail = text.split(start)[0], text.split(end)[1]
    fresh = f"{head}{start}\n{block}\n{end}{tail}"
    if fresh == text:
        return []
    if not check:
        files.write_text(path, fresh)
    return [path]
