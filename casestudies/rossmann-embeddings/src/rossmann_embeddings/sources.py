"""The table that a word on the command line means."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from rossmann_embeddings.generator import generate_chain
from rossmann_embeddings.rossmann import HOW_TO_GET, read_rossmann
from rossmann_embeddings.tables import SalesTable
from rossmann_embeddings.walmart import make_walmart


def load_table(
    data: str, load: Callable[[str], Any], stores: int = 30, weeks: int = 156, seed: int = 0
) -> SalesTable:
    """The table called `generated` or `walmart`, or that of a folder with Rossmann's files.

    `load` loads a data set of the registry; `stores`, `weeks` and `seed` are the generator's.
    Raises UsageError for another word, or a folder that is refused.
    """
    if data == "generated":
        return generate_chain(stores=stores, weeks=weeks, seed=seed)[0]
    if data == "walmart":
        return make_walmart(load("walmart_sales"))
    folder = Path(data).expanduser()
    if not folder.exists():
        raise UsageError(
            f"--data {data}: generated, walmart or a folder with Rossmann's files is taken. "
            f"{HOW_TO_GET}"
        )
    return read_rossmann(folder)
