import numpy as np
import pytest

from tabular_labs.color import (
    SPACES,
    ciede2000,
    in_gamut,
    jitter,
    lab_to_srgb,
    lab_to_xyz,
    linear_to_srgb,
    linear_to_xyz,
    oklab_to_srgb,
    srgb_to_lab,
    srgb_to_linear,
    srgb_to_oklab,
    xyz_to_lab,
    xyz_to_linear,
)

#: L, a, b of both colors and their difference: the test data of Sharma, Wu and Dalal (2005), which
#: were made to find out what goes wrong at the hue's jumps.
PAIRS = np.array(
    [
        (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
        (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
        (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
        (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
        (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
        (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
        (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
        (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
        (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
        (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
        (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
        (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
        (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
        (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
        (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
        (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
    ]
)


@pytest.mark.parametrize("pair", PAIRS, ids=range(1, len(PAIRS) + 1))
def test_differences_are_the_published_ones(pair):
    assert ciede2000(pair[:3], pair[3:6]) == pytest.approx(pair[6], abs=5e-5)
    assert ciede2000(pair[3:6], pair[:3]) == pytest.approx(pair[6], abs=5e-5)


def test_differences_broadcast_and_are_0_for_the_same_color(rng):
    lab = rng.uniform([0, -60, -60], [100, 60, 60], (5, 3))
    table = ciede2000(lab[:, None], lab[None])
    assert table.shape == (5, 5)
    assert np.diag(table).tolist() == [0.0] * 5
    np.testing.assert_allclose(table, table.T, rtol=1e-12)


@pytest.mark.parametrize(
    "srgb,lab",
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 1, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 1), (32.2970, 79.1875, -107.8602)),
    ],
)
def test_the_primaries_have_the_values_of_the_standard(srgb, lab):
    # The published ones were made from matrices that are rounded to four digits.
    assert srgb_to_lab(srgb) == pytest.approx(lab, abs=0.02)


@pytest.mark.parametrize(
    "xyz,oklab",
    [
        ((0.950, 1.000, 1.089), (1.000, 0.000, 0.000)),
        ((1.000, 0.000, 0.000), (0.450, 1.236, -0.019)),
        ((0.000, 1.000, 0.000), (0.922, -0.671, 0.263)),
        ((0.000, 0.000, 1.000), (0.153, -1.415, -0.449)),
    ],
)
def test_oklab_has_the_values_of_its_authors_table(xyz, oklab):
    srgb = linear_to_srgb(xyz_to_linear(xyz))
    assert srgb_to_oklab(srgb) == pytest.approx(oklab, abs=2e-3)


@pytest.mark.parametrize("space", SPACES)
def test_every_space_leads_back(rng, space):
    there, back = SPACES[space]
    srgb = rng.random((4, 5, 3))
    np.testing.assert_allclose(back(there(srgb)), srgb, atol=1e-9)


def test_xyz_and_lab_lead_back_beyond_the_screen(rng):
    lab = rng.uniform([0, -120, -120], [100, 120, 120], (50, 3))
    np.testing.assert_allclose(xyz_to_lab(lab_to_xyz(lab)), lab, atol=1e-9)
    np.testing.assert_allclose(srgb_to_lab(lab_to_srgb(lab)), lab, atol=1e-7)
    np.testing.assert_allclose(linear_to_xyz(xyz_to_linear(lab)), lab, atol=1e-9)


def test_greys_have_no_chroma_and_half_of_srgb_is_a_fifth_of_the_light():
    grey = np.full((3, 3), [[0.2], [0.5], [0.9]])
    assert np.abs(srgb_to_lab(grey)[:, 1:]).max() < 1e-9
    assert np.abs(srgb_to_oklab(grey)[:, 1:]).max() < 1e-6
    assert srgb_to_linear([0.5] * 3)[0] == pytest.approx(0.2140, abs=1e-4)
    assert oklab_to_srgb([1.0, 0, 0]) == pytest.approx([1, 1, 1], abs=1e-5)


@pytest.mark.parametrize("lab", [(50, 0, 0), (30, 40, -60), (80, -50, 60)])
def test_noise_is_of_the_size_that_was_asked_for(rng, lab):
    given = np.tile(np.array(lab, float), (4000, 1))
    off = ciede2000(jitter(rng, given, 1.0), given)
    assert np.sqrt(np.mean(off**2)) == pytest.approx(1.0, rel=0.12)


def test_a_screen_has_its_corners_and_no_more():
    assert in_gamut([[0, 0, 0], [1, 1, 1], [1.01, 0, 0], [0, -0.01, 0]]).tolist() == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("bad", [0.5, [0.5, 0.5], np.zeros((3, 4))])
def test_what_has_not_three_numbers_is_refused(bad):
    with pytest.raises(ValueError, match="three numbers"):
        srgb_to_lab(bad)
