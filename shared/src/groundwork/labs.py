"""Labs, read from their files without importing them.

A lab is the file `src/<import_name>/labs/<lab_name>.py`. Its summary, presets and claims are
literals in that file, so a list of every lab costs a look at the top of each file, and a record
can be held against the code of today without running it.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from groundwork.claims import Claim
from groundwork.errors import UsageError
from groundwork.suggest import unknown

_SUMMARY = re.compile(
    r'\s*(?:#[^\n]*\n\s*)*[rR]?(?:"""|\'\'\'|"|\')\s*([^\n]*?)(?:"""|\'\'\')?\s*$', re.M
)


def kebab(name: str) -> str:
    """`svd_image_compression` → `svd-image-compression`."""
    return name.replace("_", "-")


@dataclass(frozen=True)
class Lab:
    """One experiment: a package's name, the lab's own name, and the file that holds it."""

    package: str
    name: str
    path: Path

    @property
    def address(self) -> str:
        """`PACKAGE/LAB`, as the command line takes it."""
        return f"{self.package}/{self.name}"

    @property
    def module(self) -> str:
        """The dotted name of its module."""
        return f"{self.package.replace('-', '_')}.labs.{self.path.stem}"

    @cached_property
    def summary(self) -> str:
        """The first line of its docstring; reads the top of the file only."""
        with open(self.path, encoding="utf-8") as file:
            head = file.read(1000)
        match = _SUMMARY.match(head)
        return match.group(1).strip() if match else ""

    @cached_property
    def _tree(self) -> ast.Module:
        try:
            return ast.parse(self.path.read_text("utf-8"))
        except SyntaxError as error:
            raise UsageError(
                f"{self.address} cannot be read: {error.msg} in line {error.lineno} "
                f"of {self.path.name}"
            ) from error

    @property
    def docstring(self) -> str:
        """Its whole docstring, without the indentation."""
        return ast.get_docstring(self._tree) or ""

    @property
    def presets(self) -> dict[str, dict[str, Any]]:
        """Its presets; a UsageError when they are not literals."""
        node = _assigned(self._tree, "PRESETS")
        try:
            return ast.literal_eval(node) if node else {}
        except ValueError as error:
            raise UsageError(f"{self.address}: PRESETS holds more than literals") from error

    def preset(self, name: str) -> dict[str, Any]:
        """The parameters that a preset sets; a UsageError names the presets there are."""
        presets = self.presets
        if name not in presets:
            raise UsageError(unknown(f"preset of {self.address} called", name, presets, most=9))
        return presets[name]

    @property
    def claims(self) -> list[Claim]:
        """Its claims, in the order of the file; a UsageError when they are not literals."""
        return _claims(self._tree, self.address)

    def source_digest(self, preset: str) -> str:
        """A sha256 of the code that decides what this preset measures.

        It covers the lab, the modules of its own and of the workspace's other packages that it
        imports, directly or through others, and the preset's parameters; not `groundwork`, nor
        comments, docstrings, layout, other presets, or claims, which judge what was measured and
        do not change it. A record whose digest differs from today's is stale.
        """
        _ = self._tree  # a lab that cannot be parsed says so
        digest = hashlib.sha256()
        for path in _closure(self.path):
            digest.update(path.name.encode() + b"\0" + _read(path.read_text("utf-8")).said)
        digest.update(repr(sorted(self.presets.get(preset, {}).items())).encode())
        return digest.hexdigest()


def package_claims(folder: Path) -> list[Claim]:
    """What a package claims of its labs as a whole: the literal `CLAIMS` of `labs/__init__.py`."""
    path = folder / "__init__.py"
    if not path.is_file():
        return []
    return _claims(ast.parse(path.read_text("utf-8")), folder.parent.name)


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    for node in tree.body:
        target: ast.expr | None = None
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if isinstance(target, ast.Name) and target.id == name:
            return node.value
    return None


def _claims(tree: ast.Module, owner: str) -> list[Claim]:
    node = _assigned(tree, "CLAIMS")
    calls = node.elts if isinstance(node, ast.List | ast.Tuple) else []
    try:
        return [_claim(call) for call in calls]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{owner}: CLAIMS holds more than literals: {error}") from error


def _claim(node: ast.expr) -> Claim:
    if not isinstance(node, ast.Call):
        raise ValueError("each is a call of Claim")
    arguments = [ast.literal_eval(argument) for argument in node.args]
    keywords = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
    return Claim(*arguments, **keywords)


def _closure(lab: Path) -> list[Path]:
    """The lab and the modules that it imports, directly or through others; its own package's first.

    Those of `groundwork` are left out: what it measures with holds for all labs alike.
    """
    own, root = lab.parents[1], lab.parents[min(5, len(lab.parents) - 1)]
    packages = {folder.name: folder for folder in root.glob("*/*/src/*") if folder.is_dir()}
    packages[own.name] = own
    seen: list[Path] = []
    queue = [lab]
    while queue:
        current = queue.pop()
        if current in seen:
            continue
        seen.append(current)
        for name in _read(current.read_text("utf-8")).imports:
            package = packages.get(name.partition(".")[0])
            if package is None:
                continue
            base = package.joinpath(*name.split(".")[1:])
            for candidate in (base.with_suffix(".py"), base / "__init__.py"):
                if candidate.is_file() and candidate != package / "__init__.py":
                    queue.append(candidate)
    return sorted(seen, key=lambda path: (not path.is_relative_to(own), path))


class _Module(NamedTuple):
    """A module's imports, and what its code says."""

    imports: tuple[str, ...]
    said: bytes


@lru_cache(maxsize=1024)
def _read(source: str) -> _Module:
    """Of a module's text; many labs share a library's modules."""
    tree = ast.parse(source)
    said = b"".join(token.encode() + b"\0" for token in _tokens(tree))
    return _Module(tuple(_imports(tree)), said)


def _imports(tree: ast.Module) -> Iterator[str]:
    """The dotted names that it imports: modules, or what may be one within a package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if "." in name)


def _tokens(node: ast.AST) -> Iterator[str]:
    """What a syntax tree says, in the same words on every supported version of Python."""
    yield type(node).__name__
    for name, value in ast.iter_fields(node):
        if name in ("type_params", "type_comment", "kind", "ctx", "type_ignores"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.Assign) and _declares(item):
                continue
            if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
                continue  # a docstring
            if isinstance(item, ast.AST):
                yield from _tokens(item)
            elif item is not None:
                yield f"{name}={item!r}"


def _declares(node: ast.Assign) -> bool:
    """Whether it sets presets, of which only the run's own count, or claims."""
    target = node.targets[0]
    return isinstance(target, ast.Name) and target.id in ("PRESETS", "CLAIMS")
