"""Take a network and images to the quickest deployable form that keeps the accuracy.

The stages: *train* the network; *distil* it into a small one whose shape the runtimes like; *prune*
channels in blocks; *quantise* after training (PTQ), and in training (QAT) where that falls short of
the targets for accuracy or size; *export* every form to every runtime; *choose* by measurement. The
end is a bundle that predicts, and this report. Stages are kept by content: a change redoes what
depends on it, and a run that was killed continues within the stage that it was in.

Look at the picture from the right to the left: each stage moves the network along, int8 in the
general runtimes first, then fewer multiplications, and the dashed line is the accuracy asked for.
The table tells what each stage is worth. Choices are made on images held out of training; the test
images judge. A target that is missed on the test ends the run with status 3 and the best front.

Song Han, Huizi Mao and William Dally, Deep compression, 2016; Lucas Beyer and others, Knowledge
distillation: a good teacher is patient and consistent, 2022.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from cnn_inference_pipeline.bench import Bench
from cnn_inference_pipeline.bundle import Bundle, write_bundle
from cnn_inference_pipeline.dataset import Dataset, load_dataset
from cnn_inference_pipeline.model_source import load_model
from cnn_inference_pipeline.pipeline import Pipeline, Recipe
from cnn_inference_pipeline.report import (
    MANY,
    Form,
    Targets,
    card,
    choose,
    draw,
    front,
    front_text,
    mean,
    rows,
    shares,
    unmet,
)
from cnn_inference_pipeline.stages import Stages
from groundwork import Claim, Run
from groundwork.data import fetch
from groundwork.errors import UnmetError, UsageError
from groundwork.measure import available_cores
from inference_backends.benchmarking import machine_peaks

PRESETS = {
    "smoke": {
        "model": "resnet6", "epochs": 6, "widths": (16,), "blocks": (1,), "views": 2, "passes": 12,
        "prune": 0.1, "prune_passes": 2, "aware_passes": 2, "block": 8, "seconds": 0.05,
        "max_accuracy_drop": 10.0, "min_speedup": 1.0, "max_size_mb": 0.02,
        "runtimes": ("onnxruntime",),
    },
    "default": {"max_accuracy_drop": 1.0, "max_size_mb": 0.025, "epochs": 12, "passes": 40},
    "full": {
        "data": "cifar10_subset", "epochs": 60, "stem": 32, "widths": (32, 48, 64),
        "blocks": (1, 1, 1), "views": 20, "passes": 160, "prune": 0.05, "prune_passes": 20,
        "aware_passes": 40, "bf16": True, "seeds": 3, "seconds": 0.6, "max_size_mb": 0.072,
    },
}  # fmt: skip
CLAIMS = [
    Claim("bundle_error", "<=", 1e-6),
    Claim("targets_met", ">=", 3, presets=("smoke", "default")),
    Claim("accuracy_drop", "<=", 0.5, presets=("full",)),
    Claim("speedup@1", ">=", 25.0, presets=("full",)),
    Claim("speedup@64", ">=", 20.0, presets=("full",)),
    Claim("times_smaller", ">=", 15.0, presets=("full",)),
    Claim("over_best_int8@1", ">=", 2.0, presets=("full",)),
    Claim("over_best_int8@64", ">=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    model: Annotated[str, "resnet20, resnet6, or FILE.py:factory"] = "resnet20",
    data: Annotated[str, "digits, cifar10_subset, or a folder with a folder for each class"] = (
        "digits"
    ),
    max_accuracy_drop: Annotated[float, Ge(0), "points that may be lost on the test"] = 0.5,
    min_speedup: Annotated[float, Gt(0), "times quicker than PyTorch for one image"] = 20.0,
    max_size_mb: Annotated[float, Gt(0), "megabytes of the model's file"] = 0.5,
    threads: Annotated[int, Ge(1), "that each runtime may use"] = 2,
    epochs: Annotated[int, Ge(0), "of the network's training; 0: it is trained"] = 15,
    student: Annotated[bool, "a small network takes its place; no: it loses channels only"] = True,
    stem: Annotated[int, Ge(1), "channels of the student's first layer"] = 16,
    widths: Annotated[tuple[int, ...], Ge(1), "channels of its stages"] = (32, 32),
    blocks: Annotated[tuple[int, ...], Ge(1), "blocks of its stages"] = (1, 1),
    views: Annotated[int, Ge(1), "of each image, that the teachers answer"] = 8,
    passes: Annotated[int, Ge(1), "over the images in the student's training"] = 60,
    prune: Annotated[float, Ge(0), Lt(1), "share of the multiplications to prune"] = 0.2,
    prune_passes: Annotated[int, Ge(1), "over the images after pruning"] = 20,
    aware_passes: Annotated[int, Ge(1), "over the images with rounded weights"] = 20,
    block: Annotated[int, Ge(1), "channels that are pruned together"] = 16,
    mirror: Annotated[bool, "a mirrored image of the folder is of the same class"] = True,
    bf16: Annotated[bool, "convolutions in bfloat16 in training"] = False,
    seeds: Annotated[int, Ge(1), "independent repetitions; their networks teach together"] = 1,
    runtimes: Annotated[tuple[Literal["litert", "onnxruntime", "openvino"], ...], "to try"] = (
        "litert",
        "onnxruntime",
        "openvino",
    ),
    seconds: Annotated[float, Gt(0), "of timing for each form and size of batch"] = 0.3,
    work: Annotated[str, "folder of the stages' results; empty: in the user's cache"] = "",
    bundle: Annotated[str, "folder for the bundle; empty: in the run's folder"] = "",
) -> None:
    """Run all stages, choose, bundle, report; UnmetError where a target is missed."""
    if len(widths) != len(blocks):
        raise UsageError(f"--widths has {len(widths)} stages, --blocks {len(blocks)}; as many")
    source = load_model(model)
    images = load_dataset(run, data, mirror)
    recipe = Recipe(
        epochs, student, stem, widths, blocks, views, passes, prune, prune_passes, aware_passes,
        block, bf16,
    )  # fmt: skip
    targets = Targets(max_accuracy_drop, min_speedup, max_size_mb)
    stages = Stages(Path(work).expanduser() if work else fetch.cache() / "pipeline", run.log)
    pipeline = Pipeline(
        images, source, recipe, stages, lambda items, label: run.progress(items, label=label)
    )
    bench = Bench(images, threads, run.log, runtimes)
    base = compress(pipeline, bench, run.seeds(seeds), targets)
    bench.time(seconds, run.rng)
    shipped = choose(bench.forms, base, targets, len(images.x_choice))
    missed = unmet(shipped, base, targets)
    folder = Path(bundle).expanduser() if bundle else run.folder / "bundle"
    write_bundle(
        folder, images, bench.contents[shipped.name][0], runtime=shipped.runtime,
        precision=shipped.precision, threads=threads,
        card=card(images, source.name, shipped, base, threads, missed),
        measured={"accuracy": mean(shipped.accuracy), "latency_s": mean(shipped.latency_s)},
    )  # fmt: skip
    if not bundle:
        run.artifact("bundle")
    tell(run, bench, base, shipped, targets, threads)
    run.metric("bundle_error", bundle_error(folder, images, bench, shipped))
    found, there = len(stages.done), len(stages.found)
    run.log(f"{found} stages done, {there} taken from {work or 'the cache'}")
    run.log(f"shipped: {shipped.name}, in {folder.name}")
    if missed:
        raise UnmetError(
            f"not met: {'; '.join(missed)}. The best front: {front_text(front(bench.forms))}"
        )


def compress(pipeline: Pipeline, bench: Bench, seeds: list[int], targets: Targets) -> Form:
    """All stages for all seeds, each form on the bench; returns the original in PyTorch."""
    originals = [pipeline.original(seed) for seed in seeds]
    base = bench.add_originals([model for model, _ in originals])
    lessons = pipeline.lessons(originals)
    if pipeline.recipe.student:
        networks = [pipeline.student(seed, lessons) for seed in seeds]
        bench.add(pipeline, "distilled", networks, "fp32", ["onnxruntime"])
        bench.add(pipeline, "distilled", networks, "int8")
    else:
        networks = [(pipeline.traced(model), key) for model, key in originals]
    pruned = [
        pipeline.pruned(seed, network, lessons)
        for seed, network in zip(seeds, networks, strict=True)
    ]
    bench.add(pipeline, "pruned", pruned, "fp32", ["onnxruntime"])
    wanted = mean(base.chosen_by) - targets.max_accuracy_drop
    most = 1e6 * targets.max_size_mb

    def fall_short(forms: list[Form]) -> bool:
        return not any(mean(f.chosen_by) >= wanted and mean(f.bytes) <= most for f in forms)

    if fall_short(bench.add(pipeline, "PTQ", pruned, "int8")):
        # Where pruning was too much, the unpruned network has another chance.
        for stage, before in (("QAT", pruned), ("QAT unpruned", networks)):
            bits = pipeline.bits_that_fit(before[0][0], most)
            aware = [
                pipeline.aware(seed, network, lessons, bits)
                for seed, network in zip(seeds, before, strict=True)
            ]
            if not fall_short(bench.add(pipeline, stage, aware, "int8")):
                break
    return base


def tell(run: Run, bench: Bench, base: Form, shipped: Form, targets: Targets, threads: int) -> None:
    """The metrics, one number a seed; the picture and the table."""
    run.figure(
        "pareto",
        draw(bench.forms, base, shipped, targets),
        "Accuracy on the test against the median time of one image, and against the file: every "
        "stage in every runtime, the mean over the seeds. The line joins what nothing beats, the "
        "black rim marks what is shipped, the dashed line is the accuracy asked for.",
    )
    run.table("stages", rows(bench.forms, base), caption="Each stage's accuracy, size and speed")
    run.metric("accuracy.original", base.accuracy, "points")
    run.metric("accuracy.shipped", shipped.accuracy, "points")
    drops = [a - b for a, b in zip(base.accuracy, shipped.accuracy, strict=True)]
    run.metric("accuracy_drop", drops, "points")
    run.metric("speedup@1", shares(base.latency_s, shipped.latency_s))
    run.metric("speedup@64", shares(base.many_s, shipped.many_s))
    run.metric("times_smaller", shares(base.bytes, shipped.bytes))
    run.metric("file", [b / 1e3 for b in shipped.bytes], "kB")
    run.metric("latency@1", [1e6 * t for t in shipped.latency_s], "µs")
    run.metric("images_per_s@64", [MANY / t for t in shipped.many_s])
    rivals = [form for form in bench.forms if form.stage == "original" and form is not base]
    if rivals:
        quickest = min(rivals, key=lambda form: mean(form.latency_s))
        run.metric("over_best_int8@1", shares(quickest.latency_s, shipped.latency_s))
        quickest = min(rivals, key=lambda form: mean(form.many_s))
        run.metric("over_best_int8@64", shares(quickest.many_s, shipped.many_s))
    if shipped.precision == "int8":
        peak = machine_peaks(min(threads, available_cores())).int8_macs
        run.metric("int8_peak", peak / 1e9, "GMAC/s")
        share = [100 * MANY * shipped.macs / t / peak for t in shipped.many_s]
        run.metric("int8_peak_share@64", share, "%")
        share = [100 * shipped.macs / t / peak for t in shipped.latency_s]
        run.metric("int8_peak_share@1", share, "%")
    run.metric("targets_met", 3 - len(unmet(shipped, base, targets)))


def bundle_error(folder: Path, images: Dataset, bench: Bench, shipped: Form) -> float:
    """The largest difference of a logit, between the bundle on the disk and the session."""
    x = images.x_test[:MANY]
    wanted = bench.session(shipped).run(images.normalized(x))
    return float(np.abs(Bundle.open(folder).logits(x) - wanted).max())
