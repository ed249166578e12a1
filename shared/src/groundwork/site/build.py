"""Write the site from the labs, the records and the plans."""

import json
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markupsafe import Markup, escape

from groundwork.errors import UsageError
from groundwork.labs import Lab
from groundwork.readme import GROUP_TITLES
from groundwork.records import Record, find_records
from groundwork.roadmap import STATES, plans
from groundwork.terminal import number, seconds_text
from groundwork.workspace import Member, Workspace

MARKER = ".groundwork-site"

#: `$…$` without a space inside the dollars, so that prices are none, or `$$…$$`.
_MATHEMATICS = re.compile(r"\$\$.+?\$\$|\$(?!\s)[^$]+(?<!\s)\$(?!\d)", re.S)


@dataclass(frozen=True)
class LabPage:
    """A lab with what its page shows."""

    lab: Lab
    member: Member
    records: list[Record]
    state: str
    source: str

    @property
    def url(self) -> str:
        """Its page, from the site's root."""
        return f"labs/{self.lab.package}/{self.lab.name}.html"

    @property
    def record(self) -> Record | None:
        """The record that is shown first: the fullest."""
        return self.records[0] if self.records else None

    @property
    def picture(self) -> str | None:
        """The first figure of its record, from the site's root."""
        if self.record:
            for entry in self.record.data["files"]:
                if entry["kind"] == "figure":
                    return figure_url(self.record, entry["path"])
        return None


def figure_url(record: Record, path: str) -> str:
    """Where a record's file lies in the site."""
    return f"figures/{record.package}/{record.lab}/{record.preset}/{path}"


def build(workspace: Workspace, target: Path) -> Path:
    """Build the site into `target` and return it.

    It is made in a temporary folder beside and put in place at the end, so that a failure leaves
    the former site. A folder that is not a site of ours and not empty is refused (UsageError).
    """
    target = target.resolve()
    if target.is_file():
        raise UsageError(f"{target} is a file; name an empty folder, or an older site")
    if target.exists() and any(target.iterdir()) and not (target / MARKER).exists():
        raise UsageError(f"{target} holds other files; name an empty folder, or an older site")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        _write(workspace, fresh)
        (fresh / MARKER).write_text("")
        fresh.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _write(workspace: Workspace, folder: Path) -> None:
    pages = _lab_pages(workspace)
    every = plans(workspace)
    guides = {path.stem for path in (workspace.root / "docs" / "guides").glob("*.md")}
    environment = _environment(workspace)
    by_address = {(page.lab.package, page.lab.name): page for page in pages}
    search = [
        {"name": page.lab.address, "summary": page.lab.summary, "url": page.url} for page in pages
    ]
    environment.globals["search"] = Markup(
        json.dumps(search, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026")
    )

    def page(template: str, url: str, **values: Any) -> None:
        path = folder / url
        path.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * url.count("/")
        text = environment.get_template(template).render(root=root, url=url, **values)
        path.write_text(text, "utf-8")

    members = [
        (member, [each for each in pages if each.member.name == member.name])
        for member in workspace.members()
    ]
    records = [record for each in pages for record in each.records]
    claims = [claim for record in records for claim in record.data["claims"]]
    totals = {
        "labs": len(pages),
        "records": len(records),
        "records_held": sum(record.state == "holds" for record in records),
        "claims": len(claims),
        "claims_held": sum(claim["holds"] for claim in claims),
        "packages": len(members),
    }
    page("index.html", "index.html", pages=pages, plans=every, totals=totals)
    page("packages.html", "packages.html", members=members, groups=GROUP_TITLES)
    page("roadmap.html", "roadmap.html", plans=every)
    for plan in every:
        url = f"plans/{plan.name}.html"
        page("plan.html", url, plan=plan, labs=by_address, guides=guides)
    for each in pages:
        page("lab.html", each.url, page=each, figures=figure_url, tables=_tables(each))
        for record in each.records:
            for entry in record.data["files"]:
                if entry["kind"] == "figure":
                    copy = folder / figure_url(record, entry["path"])
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(record.folder / entry["path"], copy)
    shutil.copytree(Path(__file__).with_name("static"), folder / "static")


def _lab_pages(workspace: Workspace) -> list[LabPage]:
    records = find_records(workspace)
    made = []
    for member in workspace.members():
        for lab in member.labs():
            own = [r for r in records if (r.package, r.lab) == (lab.package, lab.name)]
            state = own[0].state if own else "unrecorded"
            source = lab.path.relative_to(workspace.root).as_posix()
            made.append(LabPage(lab, member, own, state, source))
    return made


def _tables(page: LabPage) -> dict[str, Any]:
    """The kept tables of a lab's records, by preset and file."""
    return {
        f"{record.preset}/{entry['path']}": json.loads(
            (record.folder / entry["path"]).read_text("utf-8")
        )
        for record in page.records
        for entry in record.data["files"]
        if entry["kind"] == "table"
    }


def _environment(workspace: Workspace) -> Environment:
    environment = Environment(
        loader=PackageLoader("groundwork.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    markdown = MarkdownIt("commonmark", {"html": False})
    markdown.enable("table").disable("image")  # a page loads nothing from elsewhere
    markdown.inline.ruler.before("escape", "mathematics", _mathematics)
    markdown.add_render_rule("mathematics", _show_mathematics)
    environment.filters["markdown"] = lambda text: Markup(markdown.render(text))
    environment.filters["number"] = number
    environment.filters["seconds"] = seconds_text
    environment.filters["operator"] = lambda op: {">=": "≥", "<=": "≤", "==": "="}.get(op, op)
    with open(workspace.root / "pyproject.toml", "rb") as file:
        project = tomllib.load(file).get("project", {})
    environment.globals["repository"] = project.get("urls", {}).get("Repository", "")
    environment.globals["states"] = STATES
    return environment


def _mathematics(state: StateInline, silent: bool) -> bool:
    """Take mathematics out of Markdown's hands: it is shown as it was written."""
    match = _MATHEMATICS.match(state.src, state.pos)
    if match is None:
        return False
    if not silent:
        state.push("mathematics", "", 0).content = match.group()
    state.pos = match.end()
    return True


def _show_mathematics(
    renderer: Any, tokens: Any, index: int, options: Any, environment: Any
) -> str:
    return f'<span class="math">{escape(tokens[index].content)}</span>'
