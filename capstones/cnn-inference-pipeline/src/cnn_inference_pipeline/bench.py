"""Open every form of every seed, see how good it is, and time all of them in turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from torch import nn

from cnn_inference_pipeline.dataset import Dataset
from cnn_inference_pipeline.deployment import RUNTIMES
from cnn_inference_pipeline.pipeline import Pipeline
from cnn_inference_pipeline.report import MANY, ONE, Form
from groundwork.errors import UsageError
from inference_backends.backends import (
    AbsentError,
    Precision,
    Session,
    UnsupportedError,
    make_backend,
)
from inference_backends.benchmarking import measure, top1
from quantized_cnn.channels import multiplications
from quantized_cnn.graph import Graph, trace

#: The original network's fp32 form, that all others are held against.
BASE: tuple[str, Precision] = ("eager", "fp32")


@dataclass
class Bench:
    """The forms that were made, with a session for each seed.

    data : judges them. threads : of every session. log : is told what a runtime does not take.
    wanted : the runtimes to try. absent : those that cannot be used here, with the reason.

    Raises UsageError where none of them can be used.
    """

    data: Dataset
    threads: int
    log: Callable[[str], None]
    wanted: Sequence[str] = tuple(RUNTIMES)
    forms: list[Form] = field(default_factory=list)
    contents: dict[str, list[bytes]] = field(default_factory=dict)
    _sessions: dict[str, list[Session]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = {name: RUNTIMES[name].absent() for name in self.wanted}
        self.absent = {name: reason for name, reason in found.items() if reason}
        for name, reason in self.absent.items():
            self.log(f"{name} is absent: {reason}")
        if not self.runtimes:
            raise UsageError(f"none of the runtimes {', '.join(self.wanted)} can be used here")

    @property
    def runtimes(self) -> list[str]:
        """Those that can be used here."""
        return [name for name in self.wanted if name not in self.absent]

    def add_originals(self, models: Sequence[nn.Module]) -> Form:
        """The original in PyTorch, and in int8 in every runtime that takes it."""
        example = self.data.calibration
        try:
            macs = count(trace(models[0]), self.data.shape)
        except Exception:  # a network that cannot be written down has no count
            macs = 0
        base = None
        rivals: list[tuple[str, Precision]] = [(name, "int8") for name in self.runtimes]
        for name, precision in (BASE, *rivals):
            try:
                sessions = [
                    make_backend(name).compile(model, example, precision, self.threads)
                    for model in models
                ]
            except (UnsupportedError, AbsentError) as error:
                if base is None:
                    raise UsageError(str(error)) from error
                self.log(f"original in {name} int8: {error}")
                continue
            form = self._add("original", name, precision, False, macs, sessions)
            base = base or form
        assert base is not None
        return base

    def add(
        self,
        pipeline: Pipeline,
        stage: str,
        networks: Sequence[tuple[Graph, str]],
        precision: Precision,
        runtimes: Sequence[str] | None = None,
    ) -> list[Form]:
        """A network of each seed in the runtimes, by default in all that take it."""
        macs = count(networks[0][0], self.data.shape)
        added = []
        for name in self.runtimes if runtimes is None else runtimes:
            try:
                contents = [pipeline.export(network, name, precision) for network in networks]
                sessions = [
                    RUNTIMES[name].open(content, self.data.shape, precision, self.threads)
                    for content in contents
                ]
            except (UnsupportedError, AbsentError) as error:
                self.log(f"{stage} in {name} {precision}: {error}")
                continue
            form = self._add(stage, name, precision, True, macs, sessions)
            self.contents[form.name] = contents
            added.append(form)
        return added

    def _add(
        self,
        stage: str,
        runtime: str,
        precision: str,
        shippable: bool,
        macs: int,
        sessions: list[Session],
    ) -> Form:
        data = self.data
        x_test, x_choice = data.normalized(data.x_test), data.normalized(data.x_choice)
        form = Form(
            stage, runtime, precision, shippable, macs,
            [top1(session, x_test, data.y_test) for session in sessions],
            [top1(session, x_choice, data.y_choice) for session in sessions],
            [session.info().size_bytes for session in sessions],
            [], [],
        )  # fmt: skip
        self.forms.append(form)
        self._sessions[form.name] = sessions
        return form

    def time(self, seconds_each: float, rng: Generator) -> None:
        """Fill in the seconds of each form, all forms of a seed in turns."""
        images = self.data.normalized(self.data.x_test[:MANY])
        for k in range(len(self.forms[0].accuracy)):
            sessions = {form.name: self._sessions[form.name][k] for form in self.forms}
            found = measure(sessions, (ONE, MANY), seconds_each, rng, images)
            seconds = {(row.name, row.batch): row.p50_s for row in found}
            for form in self.forms:
                form.latency_s.append(seconds[form.name, ONE])
                form.many_s.append(seconds[form.name, MANY])

    def session(self, form: Form, seed: int = 0) -> Session:
        """The session of a form."""
        return self._sessions[form.name][seed]


def count(graph: Graph, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one image."""
    return int(np.sum(list(multiplications(graph, shape).values())))
