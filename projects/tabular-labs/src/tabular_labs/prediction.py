"""A trained model beside what it must be told, and `predict` for a table of one's own.

A lab leaves its model in the run's folder. `tabular-labs predict LAB TABLE.csv` takes it from the
latest run, reads the table piece by piece against the model's schema, and writes the rows' answers.
The file is a pickle: open only those that you made yourself.
"""

import csv
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from groundwork import Run, files
from groundwork.errors import UsageError
from groundwork.workspace import Workspace
from tabular_labs.schema import Reading, Schema, read_csv

FILE = "model.pickle"
USAGE = "Usage: tabular-labs predict LAB TABLE.csv [--run FOLDER] [--out FILE.csv]"


@dataclass
class Deployed:
    """A fitted model and what is needed to use it.

    schema : of the table that is handed to it. model : fitted, with `predict` and for classes
    `predict_proba`. target : what it predicts. labels : the classes' names, none for a number.
    prepare : from the table's columns to the model's, None where they are the same.
    """

    schema: Schema
    model: Any
    target: str
    labels: tuple[str, ...] = ()
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None

    def answer(self, frame: pd.DataFrame) -> pd.DataFrame:
        """For each row the most probable class and its probabilities, or the number."""
        inputs = self.prepare(frame) if self.prepare else frame
        if not self.labels:
            return pd.DataFrame({self.target: np.asarray(self.model.predict(inputs), float)})
        shares = np.asarray(self.model.predict_proba(inputs), float)
        made: dict[str, Any] = {self.target: np.array(self.labels)[shares.argmax(1)]}
        made |= {f"P({label})": shares[:, k] for k, label in enumerate(self.labels)}
        return pd.DataFrame(made)


def keep(run: Run, deployed: Deployed) -> None:
    """Leave a model in the run's folder."""
    files.write_bytes(run.artifact(FILE), pickle.dumps(deployed))


def predict_command(words: Sequence[str]) -> None:
    """`predict LAB TABLE.csv [--run FOLDER] [--out FILE.csv]`: one line for each row."""
    lab, table, folder, out = _parse(words)
    deployed = _open(_model_of(lab, folder))
    if out is None:
        _write(deployed, table, sys.stdout)
        return
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            _write(deployed, table, file)
        part.replace(out)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _write(deployed: Deployed, table: str, file: TextIO) -> None:
    reading = Reading(0, {})
    writer = csv.writer(file, lineterminator="\n")
    for k, piece in enumerate(read_csv(table, deployed.schema, reading)):
        answer = deployed.answer(piece)
        if k == 0:
            writer.writerow(answer.columns)
        for row in answer.itertuples(index=False):
            writer.writerow([f"{x:.6g}" if isinstance(x, float) else x for x in row])
    for line in reading.told():
        print(line, file=sys.stderr)
    if reading.rows == 0:
        raise UsageError(f"{table} has no rows below its header")


def _parse(words: Sequence[str]) -> tuple[str, str, Path | None, Path | None]:
    places: list[str] = []
    options: dict[str, Path] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word in ("--run", "--out"):
            if not queue:
                raise UsageError(f"{word} without a path. {USAGE}")
            options[word] = Path(queue.pop(0))
        elif word.startswith("--"):
            raise UsageError(f"{word} is not an option of predict; --run and --out are")
        else:
            places.append(word)
    if len(places) != 2:
        raise UsageError(USAGE)
    return places[0], places[1], options.get("--run"), options.get("--out")


def _model_of(lab: str, folder: Path | None) -> Path:
    """The model's file of the run in `folder`, or of the lab's latest run that has one."""
    if folder is not None:
        if not (folder / FILE).is_file():
            raise UsageError(f"{folder} holds no {FILE}; the folder of a run of {lab} is taken")
        return folder / FILE
    workspace = Workspace.find()
    workspace.member("tabular-labs").lab(lab)  # refuses another name
    found = [
        path
        for path in workspace.runs.glob(f"tabular-labs/{lab}/*/{FILE}")
        if _is_of(path.parent / "run.json", lab)
    ]
    if not found:
        raise UsageError(
            f"no run of {lab} has left a model; `groundwork run tabular-labs/{lab}` leaves one"
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def _is_of(place: Path, lab: str) -> bool:
    import json

    try:
        told = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(told.get("lab") == lab and told.get("package") == "tabular-labs")


def _open(place: Path) -> Deployed:
    try:
        deployed = pickle.loads(place.read_bytes())
    except Exception as error:
        raise UsageError(f"{place} can't be read ({error}); run the lab again") from error
    if not isinstance(deployed, Deployed):
        raise UsageError(f"{place} is no model of these labs")
    return deployed
