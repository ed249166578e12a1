"""The house style for figures: quiet axes, a palette for every kind of eye, small files."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Blue, orange, green, red, purple, brown, sky, grey: told apart with any kind of colour vision.
PALETTE = ("#2c5f9e", "#e08a1e", "#3a8f5c", "#c23b4a", "#7b5ea7", "#8a6642", "#5aa9d6", "#7a7f87")

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#5b6270",
    "axes.grid": True,
    "axes.labelcolor": "#20242c",
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 9.5,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.7,
    "image.cmap": "viridis",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 130,
    "svg.hashsalt": "groundwork",
    "text.color": "#20242c",
    "xtick.color": "#5b6270",
    "ytick.color": "#5b6270",
}


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 7.2,
    height: float | None = None,
    **options: Any,
) -> tuple[Figure, Any]:
    """A figure and its axes in the house style; no global state is touched.

    `width` and `height` are in inches; further options go to `Figure.subplots`. Returns what
    `Figure.subplots` returns: one axes, or an array of them.
    """
    size = (width, height or 0.55 * width * rows / columns)
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(drawing)
        return drawing, drawing.subplots(rows, columns, **options)


def image_grid(
    images: Sequence[Any],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    width: float = 7.2,
) -> Figure:
    """Grey or RGB images in a grid, without axes; `images` are arrays (h, w) or (h, w, 3)."""
    rows = -(-len(images) // columns)
    drawing, axes = figure(
        rows, columns, width=width, height=width / columns * rows * 1.18, squeeze=False
    )
    for index, cell in enumerate(axes.flat):
        cell.axis("off")
        if index < len(images):
            cell.imshow(images[index], cmap="gray_r", interpolation="nearest")
            if titles:
                cell.set_title(titles[index], fontsize=8, loc="center", fontweight="normal")
    return drawing


def render(drawing: Figure, format: str = "svg") -> bytes:
    """The figure's file as bytes: the same figure gives the same bytes."""
    if format not in ("svg", "png"):
        raise ValueError(f"figure format {format!r}: svg and png are taken")
    for axes in drawing.axes:
        _finish(axes)
    buffer = io.BytesIO()
    metadata = {"Date": None} if format == "svg" else {"Software": None}
    with matplotlib.rc_context(STYLE):
        drawing.savefig(buffer, format=format, metadata=metadata)
    return buffer.getvalue()


def _finish(axes: Any) -> None:
    """Titles to the left and legends without a frame, whatever was in force when they were made."""
    if axes.axison and axes.get_title():
        axes.set_title(axes.get_title(), loc="left", fontsize=11, fontweight="bold")
        axes.set_title("", loc="center")
    if axes.get_legend() is not None:
        axes.get_legend().set_frame_on(False)
