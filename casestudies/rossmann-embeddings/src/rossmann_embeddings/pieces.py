"""Long work in named pieces, each done once and found again when a run is continued."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundwork import Run


class Pieces:
    """The finished pieces of a run, kept in its checkpoint."""

    def __init__(self, run: "Run") -> None:
        self._run, self._store = run, run.checkpoint("pieces")
        self._done: dict[str, Any] = self._store.load() or {}

    def __call__(self, name: str, make: Callable[..., Any], *arguments: Any) -> Any:
        """What the call gives, or gave when the run was begun."""
        if name not in self._done:
            self._done[name] = make(*arguments)
            self._store.save(self._done)
        return self._done[name]

    def bar(self, label: str) -> Callable[[Iterable[int]], Iterator[int]]:
        """A progress bar for what a piece goes through."""
        return lambda items: self._run.progress(items, label=label)
