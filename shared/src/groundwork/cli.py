"""The command line: `groundwork COMMAND …`, and each package's own `PACKAGE LAB …`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from groundwork.errors import UsageError
from groundwork.suggest import unknown
from groundwork.workspace import Workspace

Preset = Annotated[str, typer.Option(help="smoke, default, full or gpu")]
Seed = Annotated[int, typer.Option(min=0, help="the first seed")]
Resume = Annotated[bool, typer.Option("--resume", help="go on with an interrupted run")]
Sweep = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=A,B", help="a run for each value (also: seed=0,1,2); repeatable"),
]
On = Annotated[str | None, typer.Option(metavar="ray", help="where the sweep runs: ray")]
_OPEN = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="groundwork",
    help="Five machine-learning study plans, made executable and measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


# What there is


@app.command("list")
def list_labs(
    plan: Annotated[str | None, typer.Option(help="only the labs of this plan")] = None,
    package: Annotated[str | None, typer.Option(help="only the labs of this package")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """The labs, one line each."""
    workspace = Workspace.find()
    labs = workspace.member(package).labs() if package else workspace.labs()
    if plan:
        from groundwork.roadmap import labs_of_plan

        wanted = labs_of_plan(plan)
        labs = [lab for lab in labs if (lab.package, lab.name) in wanted]
    if as_json:
        fields = [{"package": lab.package, "lab": lab.name, "summary": lab.summary} for lab in labs]
        print(json.dumps(fields, ensure_ascii=False, indent=1))
        return
    width = max((len(lab.address) for lab in labs), default=0)
    for lab in labs:
        print(f"{lab.address:<{width}}  {lab.summary}")
    if not labs:
        print("no labs here yet")


# Running


@app.command(context_settings=_OPEN)
def run(
    context: typer.Context,
    lab: Annotated[str, typer.Argument(metavar="PACKAGE/LAB")],
    preset: Preset = "default",
    seed: Seed = 0,
    resume: Resume = False,
    sweep: Sweep = None,
    on: On = None,
) -> None:
    """Run a lab in its package's environment and show the report; --help lists its own options."""
    found = Workspace.find().lab(lab)
    found.preset(preset)
    _check_sweep(sweep, on, resume)
    words = [found.name, "--preset", preset, "--seed", str(seed)]
    words += ["--resume"] if resume else []
    for axis in sweep or []:
        words += ["--sweep", axis]
    words += ["--on", on] if on else []
    _hand_over(found.package, [*words, *context.args], ray=on is not None)


@app.command()
def verify(
    addresses: Annotated[list[str] | None, typer.Argument(metavar="PACKAGE[/LAB]")] = None,
    preset: Preset = "default",
    seed: Seed = 0,
    resume: Resume = False,
) -> None:
    """Run labs and check their claims; status 1 when one does not hold."""
    from groundwork import verifying
    from groundwork.terminal import Terminal

    workspace = Workspace.find()
    terminal = Terminal.standard()
    labs, others = verifying.select(workspace, addresses or [], preset)
    if others:
        names = ", ".join(lab.address for lab in others)
        terminal.line(f"without the preset {preset}, so not run: {names}")
    held = verifying.verify(
        workspace, labs, preset=preset, seed=seed, resume=resume, terminal=terminal
    )
    raise typer.Exit(0 if held else 1)


# Keeping and showing


@app.command()
def record(
    address: Annotated[str, typer.Argument(metavar="PACKAGE[/LAB]")],
    preset: Annotated[str | None, typer.Option(help="the last good run of this preset")] = None,
    failing: Annotated[
        bool, typer.Option("--failing", help="take a run whose claims do not all hold")
    ] = False,
) -> None:
    """Make a lab's last good run its record and rewrite the results in the README."""
    from groundwork import records
    from groundwork.terminal import Terminal, shown_path

    workspace = Workspace.find()
    terminal = Terminal.standard()
    if "/" in address:
        labs = [workspace.lab(address)]
    else:
        labs = workspace.member(address).labs()
        labs = [lab for lab in labs if preset is None or preset in lab.presets]
    refused = []
    for lab in labs:
        try:
            folder = records.make_record(workspace, lab, preset=preset, failing=failing)
            terminal.line(f"{lab.address}: {shown_path(folder)}")
        except UsageError as error:
            refused.append(str(error))
    _write_pages(workspace, check=False)
    if refused:
        raise UsageError("\n".join(refused))


@app.command()
def compare(first: str, second: str) -> None:
    """Two runs side by side; a run is named by its folder."""
    from groundwork import comparing
    from groundwork.terminal import Terminal

    workspace = Workspace.find()
    a, b = (comparing.load_run(workspace, name) for name in (first, second))
    comparing.show_side_by_side(a, b, Terminal.standard())


@app.command()
def roadmap(plan: Annotated[str | None, typer.Argument()] = None) -> None:
    """The five plans, or one plan's topics with the lab that answers each and its state."""
    from groundwork import roadmap as plans
    from groundwork.terminal import Terminal

    console = Terminal.standard().console
    assert console is not None
    plans.render_terminal(console, plans.plans(Workspace.find()), only=plan)


@app.command()
def pages(
    check: Annotated[bool, typer.Option("--check", help="write nothing; status 1 if old")] = False,
) -> None:
    """Bring the records' verdicts, the READMEs' results and the roadmap's pages up to date."""
    old = _write_pages(Workspace.find(), check=check)
    for path in old:
        print(f"{'out of date' if check else 'written'}: {path}")
    if check and old:
        raise typer.Exit(1)


@app.command()
def site(
    target: Annotated[Path, typer.Option(help="the folder to build in")] = Path("site"),
    serve: Annotated[bool, typer.Option("--serve", help="serve it on this machine")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
) -> None:
    """Build the static portfolio."""
    workspace = Workspace.find()
    if not _has("jinja2", "markdown_it"):
        _hand_over_to_extra("site", sys.argv[1:])
    from groundwork import site as portfolio

    built = portfolio.build(workspace, target)
    print(f"Site: {built / 'index.html'}")
    if serve:
        portfolio.serve(built, port)


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="project|casestudy|capstone")],
    name: str,
) -> None:
    """Make a package with every room in place and its tests green."""
    from groundwork import scaffold
    from groundwork.terminal import shown_path
    from groundwork.verifying import run_process

    if kind not in ("project", "casestudy", "capstone"):
        raise UsageError(unknown("kind of package", kind, ["project", "casestudy", "capstone"]))
    workspace = Workspace.find()
    made = scaffold.create(workspace.root, kind, name)
    for path in made:
        print(shown_path(path))
    if run_process(["uv", "lock", "--quiet"], workspace.root):
        raise UsageError("the package is made, but the lock is not: run uv lock and see why")
    print(f"Next: uv run nox -s 'tests({name})'")


@app.command()
def demo() -> None:
    """The third capstone, in the browser."""
    raise UsageError(
        "the demo is the third capstone, inference-platform, which this checkout does not hold yet"
    )


# A package's own command


Command = Callable[[Sequence[str]], None]


def package_command(
    package: str, commands: Mapping[str, Command] | None = None
) -> Callable[[], None]:
    """The entry point of a package's script: `PACKAGE LAB [options]`.

    It runs labs in the environment it is started in. `commands` are further ones by name; each is
    given the words that follow its name, and its docstring's first line is its help.
    """

    def main() -> None:
        _guard(lambda: _package_main(package, sys.argv[1:], commands))

    return main


def _package_main(
    package: str, words: Sequence[str], commands: Mapping[str, Command] | None = None
) -> Any:
    commands = commands or {}
    if words and words[0] in commands:
        return commands[words[0]](words[1:])
    member = _member_of(package)
    if not words or words[0] in ("--help", "-h"):
        print(f"Usage: {package} LAB [--preset P] [--seed N] [--resume] [lab options]\n")
        for lab in member.labs():
            print(f"  {lab.name:<28} {lab.summary}")
        for name, command in commands.items():
            print(f"  {name:<28} {(command.__doc__ or '').splitlines()[0]}")
        return None
    lab = member.lab(words[0])
    inner = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @inner.command(context_settings={**_OPEN, "help_option_names": []})
    def start(
        context: typer.Context,
        preset: Preset = "default",
        seed: Seed = 0,
        resume: Resume = False,
        sweep: Sweep = None,
        on: On = None,
        brief: Annotated[bool, typer.Option("--brief", hidden=True)] = False,
        help: Annotated[bool, typer.Option("--help", "-h")] = False,
    ) -> None:
        if help:
            _show_lab(package, lab)
            return
        _check_sweep(sweep, on, resume)
        _run_here(lab, preset, seed, resume, sweep, on, context.args, brief)

    return inner(args=list(words[1:]), standalone_mode=False)


def _run_here(
    lab: Any,
    preset: str,
    seed: int,
    resume: bool,
    sweep: list[str] | None,
    on: str | None,
    words: Sequence[str],
    brief: bool,
) -> None:
    from groundwork.execution import LabError, execute
    from groundwork.parameters import parse_options
    from groundwork.terminal import Terminal, shown_path

    lab.preset(preset)
    overrides = parse_options(words)
    terminal = Terminal.standard()
    if sweep:
        from groundwork.sweep import parse_sweep, run_sweep, sweep_table

        points = parse_sweep(sweep)
        runs = run_sweep(
            lab, points, preset=preset, seed=seed, overrides=overrides, terminal=terminal,
            on_ray=on == "ray",
        )  # fmt: skip
        sweep_table(points, runs, terminal)
        raise typer.Exit(0 if all(run["status"] == "finished" for run in runs) else 1)
    try:
        content = execute(
            lab, preset=preset, seed=seed, overrides=overrides, resume=resume, terminal=terminal
        )
    except LabError as error:
        print(f"{lab.address} failed: {error}", file=sys.stderr)
        print(f"its traceback: {shown_path(error.folder / 'run.json')}", file=sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        again = " ".join([lab.address, "--preset", preset, "--seed", str(seed), *words])
        print(f"\ninterrupted; go on with: uv run groundwork run {again} --resume", file=sys.stderr)
        raise
    if not brief:
        terminal.report(content, Path(content["folder"]))
    if "unmet" in content:
        print(content["unmet"], file=sys.stderr)
        raise typer.Exit(3)


def _show_lab(package: str, lab: Any) -> None:
    import importlib

    from groundwork.parameters import plain, read_parameters

    print(f"Usage: {package} {lab.name} [options]\n\n{lab.docstring}\n")
    print(f"Presets: {', '.join(lab.presets)}\n\nOptions:")
    for parameter in read_parameters(importlib.import_module(lab.module).main).values():
        help_line = f"{parameter.help}; " if parameter.help else ""
        default = plain(parameter.default)
        print(f"  {parameter.option:<22} {help_line}{parameter.takes} [{default}]")
    print("  --preset, --seed, --resume, --sweep NAME=A,B, --on ray")


# Entry and helpers


def main() -> None:
    """The entry point of `groundwork`."""
    _guard(_main)


def _main() -> Any:
    names = [command.name for command in app.registered_commands if command.name]
    names += [c.callback.__name__ for c in app.registered_commands if not c.name and c.callback]
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and sys.argv[1] not in names:
        raise UsageError(unknown("command", sys.argv[1], names))
    return app(standalone_mode=False)


def _guard(call: Callable[[], Any]) -> NoReturn:
    """Turn what can go wrong into one clear line and the right status."""
    try:
        result = call()
        sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else 0)
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        print(f"{error.format_message().rstrip('.')}; --help lists what there is", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _check_sweep(sweep: list[str] | None, on: str | None, resume: bool) -> None:
    if on not in (None, "ray"):
        raise UsageError(unknown("place to run called", str(on), ["ray"]))
    if on and not sweep:
        raise UsageError("--on ray runs a sweep; say which, such as --sweep seed=0,1,2")
    if sweep and resume:
        raise UsageError("a sweep is not resumed; resume its runs one by one")


def _member_of(package: str) -> Any:
    """The package's member, of the workspace that it was installed from."""
    import importlib.util

    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise UsageError(f"the package {package} is not installed in this environment")
    return Workspace.find(Path(spec.origin)).member(package)


def _write_pages(workspace: Workspace, *, check: bool) -> list[str]:
    from groundwork.readme import write_readmes
    from groundwork.records import write_verdicts
    from groundwork.roadmap import write_roadmap_pages

    changed = [
        *write_verdicts(workspace, check=check),
        *write_readmes(workspace, check=check),
        *write_roadmap_pages(workspace, check=check),
    ]
    return [str(path.relative_to(workspace.root)) for path in changed]


def _has(*modules: str) -> bool:
    import importlib.util

    return all(importlib.util.find_spec(module) for module in modules)


def _hand_over(package: str, words: Sequence[str], *, ray: bool) -> NoReturn:
    """Let the package's own command go on in its own environment."""
    from groundwork.verifying import package_words, run_process

    if ray and not _has("ray"):
        extra = ["uv", "sync", "--quiet", "--inexact", "--package", "groundwork", "--extra", "ray"]
        if subprocess.run(extra).returncode:
            raise UsageError("Ray could not be installed; uv says why above")
    sys.exit(run_process([*package_words(package), *words]))


def _hand_over_to_extra(extra: str, words: Sequence[str]) -> NoReturn:
    """Start again with an extra of groundwork installed."""
    from groundwork.verifying import run_process

    if os.environ.get("GROUNDWORK_EXTRA") == extra:
        raise UsageError(f"this needs groundwork[{extra}], which could not be installed")
    os.environ["GROUNDWORK_EXTRA"] = extra
    command = ["uv", "run", "--quiet", "--package", "groundwork", "--extra", extra, "groundwork"]
    sys.exit(run_process([*command, *words]))


if __name__ == "__main__":
    main()
