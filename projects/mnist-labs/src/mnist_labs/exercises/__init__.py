"""Tensor drills that mark themselves: a catalogue of exercises, a worksheet, and the marking."""

from mnist_labs.exercises.catalogue import EXERCISES
from mnist_labs.exercises.marking import Verdict, mark, mark_all, read_answers, write_worksheet

__all__ = ["EXERCISES", "Verdict", "mark", "mark_all", "read_answers", "write_worksheet"]
