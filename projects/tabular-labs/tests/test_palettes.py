import numpy as np
import pytest

from groundwork.errors import UsageError
from groundwork.testing import run_lab
from tabular_labs import clusters, palettes
from tabular_labs.color import ciede2000
from unsupervised_learning import KMeans


def test_a_palettes_entries_are_apart_and_its_points_near(rng):
    palette = palettes.make_palette(rng, 6, 15.0)
    between = ciede2000(palette[:, None], palette[None])
    assert between[~np.eye(6, dtype=bool)].min() >= 15.0
    painted = palettes.paint(rng, palette, 600, 2.0)
    assert painted.points.dtype == np.uint8
    assert set(painted.labels) == set(range(6))
    off = ciede2000(palettes.to_space(painted.points, "lab"), palette[painted.labels])
    assert np.sqrt(np.mean(off**2)) == pytest.approx(2.0, rel=0.15)


def test_more_colors_than_a_screen_has_room_for_are_refused(rng):
    with pytest.raises(ValueError, match="do not fit"):
        palettes.make_palette(rng, 50, 40.0)


@pytest.mark.parametrize("space", ["srgb", "linear", "lab", "oklab"])
def test_eight_bits_survive_every_space(space):
    points = np.stack(np.meshgrid(*[np.arange(0, 256, 17)] * 3), -1).reshape(-1, 3).astype(np.uint8)
    assert np.array_equal(palettes.from_space(palettes.to_space(points, space), space), points)


def test_a_picture_of_three_colors_is_not_changed_by_three_colors(rng):
    colors = np.array([[250, 10, 10], [10, 200, 30], [20, 30, 220]], np.uint8)
    picture = colors[rng.integers(0, 3, (12, 15))]
    quantized, palette = palettes.quantize(
        picture, "oklab", lambda: KMeans(3, random_state=0), np.arange(100)
    )
    assert np.array_equal(quantized, picture)
    assert sorted(palette.tolist()) == sorted(colors.tolist())
    assert palettes.quantization_error(picture, quantized).max() == 0


def test_cells_cut_each_channel_alike():
    points = np.array([[0, 0, 0], [127, 127, 127], [128, 0, 0], [0, 0, 255]], np.uint8)
    assert palettes.uniform_cells(points, 2).tolist() == [0, 0, 4, 1]


def test_the_gap_statistic_finds_three_far_groups_and_no_groups_in_uniform_points(rng):
    def inertia(points, k):
        return float(KMeans(k, n_init=3, random_state=0).fit(points).inertia_)

    ks = (1, 2, 3, 4, 5)
    far = rng.standard_normal((150, 2)) + np.repeat([[0, 0], [20, 0], [0, 20]], 50, axis=0)
    assert clusters.choose_by_gap(ks, *clusters.gap_curve(far, ks, inertia, rng)) == 3
    even = rng.random((150, 2))
    assert clusters.choose_by_gap(ks, *clusters.gap_curve(even, ks, inertia, rng)) == 1


def test_a_picture_file_is_read_and_made_smaller(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((40, 80, 3), (10, 20, 30), np.uint8)).save(tmp_path / "a.png")
    picture = palettes.load_picture(tmp_path / "a.png", longest=20)
    assert picture.shape == (10, 20, 3)
    assert (picture == (10, 20, 30)).all()
    (tmp_path / "b.png").write_text("not a picture")
    for name in ("b.png", "missing.png"):
        with pytest.raises(ValueError, match=name):
            palettes.load_picture(tmp_path / name)


def test_a_file_that_is_no_picture_is_refused_in_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"--pictures: .*nowhere\.png"):
        run_lab("tabular-labs/color-clusters", tmp_path, pictures=(str(tmp_path / "nowhere.png"),))


def test_confusions_name_the_entries_that_were_mixed():
    palette = np.array([[50.0, 0, 0], [60.0, 0, 0], [50.0, 60, 0]])
    labels = np.array([0] * 10 + [1] * 10 + [2] * 10)
    said = np.array([0] * 7 + [1] * 3 + [1] * 10 + [2] * 10)
    found = clusters.confusions(palette, palette, labels, said)
    assert [(row["entry"], row["taken for"], row["points"]) for row in found] == [(0, 1, 3)]
    assert found[0]["of the entry's"] == 0.3
    assert clusters.confusions(palette, palette[::-1], labels, 2 - labels) == []


def test_bic_takes_the_kind_of_mixture_that_the_points_have(rng):
    round_ones = np.concatenate([rng.standard_normal((300, 2)), rng.standard_normal((300, 2)) + 9])
    start = np.array([[0.0, 0.0], [9.0, 9.0]])
    assert clusters.mixture_by_bic(round_ones, start, 0)[1] in ("spherical", "tied")
    tilted = round_ones @ np.array([[1.0, 0.9], [0.0, 0.3]])
    tilted[:300, 1] *= -1
    assert clusters.mixture_by_bic(tilted, tilted[[0, 300]], 0)[1] == "full"
