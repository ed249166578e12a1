"""Drill tensors: answer 26 small exercises in a file, and have them marked.

Views and strides, broadcasting, einsum, gathering and scattering: each exercise asks for one
expression. `--file answers.py` writes a worksheet there if the file is not there yet, and marks
it: right, wrong with the first input that shows it, or not answered. Where a view is asked for, a
copy with the right numbers is wrong. Every answer also meets inputs whose elements lie apart in
memory. An answer that is not Python is wrong, with its line, and leaves the others as they are.

Without a file the lab marks itself: the reference solutions have to pass, and every one of the
known wrong answers (those that a hurried reader gives) has to fail.

The figure draws what a stride is: three tensors over the same twelve numbers in memory.
"""

from pathlib import Path
from typing import Annotated

import torch

from groundwork import Claim, Run, plots
from mnist_labs.exercises import EXERCISES, mark, mark_all, read_answers, write_worksheet

PRESETS: dict[str, dict[str, str]] = {"smoke": {}, "default": {}, "full": {}}
CLAIMS = [
    Claim("reference_solutions_right", "==", 1),
    Claim("wrong_solutions_caught", "==", 1),
]


def main(
    run: Run, *, file: Annotated[str | None, "your answers; written first if not there"] = None
) -> None:
    """Mark the learner's file, and the exercises themselves; see the module's docstring."""
    if file is not None:
        path = Path(file).expanduser()
        write_worksheet(EXERCISES, path)
        verdicts = mark_all(EXERCISES, read_answers(path))
        run.table(
            "verdicts",
            [{"exercise": v.name, "verdict": v.mark, "why": v.why} for v in verdicts],
            caption=f"Your answers in {path.name}",
        )
        run.metric("your_score", sum(v.mark == "right" for v in verdicts) / len(verdicts))

    right = [mark(exercise, exercise.reference) for exercise in EXERCISES]
    wrong = [(e, mark(e, answer)) for e in EXERCISES for answer in e.wrong]
    run.metric("exercises", len(EXERCISES))
    run.metric("reference_solutions_right", sum(v.mark == "right" for v in right) / len(right))
    run.metric("wrong_solutions", len(wrong))
    run.metric("wrong_solutions_caught", sum(v.mark == "wrong" for _, v in wrong) / len(wrong))
    if file is None:
        run.table(
            "exercises",
            [{"exercise": e.name, "task": e.task} for e in EXERCISES],
            caption="The exercises",
        )
    draw(run)


def draw(run: Run) -> None:
    """The same memory seen through three shapes and strides."""
    base = torch.arange(12)
    tensors = {
        "x = arange(12).view(3, 4)": base.view(3, 4),
        "x.T": base.view(3, 4).T,
        "x.flatten().unfold(0, 4, 2)": base.unfold(0, 4, 2),
    }
    figure, axes = plots.figure(1, 3, width=9, height=3)
    for cell, (name, tensor) in zip(axes, tensors.items(), strict=True):
        cell.imshow(tensor, cmap="Blues", vmin=-4, vmax=16)
        for i in range(tensor.shape[0]):
            for j in range(tensor.shape[1]):
                cell.text(j, i, int(tensor[i, j]), ha="center", va="center")
        cell.set_title(f"{name}\nstrides {tensor.stride()}", fontsize=9)
        cell.axis("off")
    run.figure(
        "strides",
        figure,
        caption="Three views of the same twelve numbers; each cell shows its place in memory",
    )
