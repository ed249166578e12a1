from dataclasses import replace

import pytest

from cnn_inference_pipeline.report import Form, Targets, choose, front, unmet

BASE = Form("original", "eager", "fp32", False, 10, [80.0], [80.0], [1000], [1e-3], [1e-2])
TARGETS = Targets(max_accuracy_drop=0.5, min_speedup=20.0, max_size_mb=100e-6)


def form(stage, accuracy, chosen_by, size, latency):
    return Form(
        stage, "litert", "int8", True, 5, [accuracy], [chosen_by], [size], [latency], [1e-3]
    )


def test_the_quickest_that_keeps_accuracy_and_size_is_shipped():
    forms = [
        BASE,
        form("large", 80.0, 80.0, 101, 1e-6),
        form("poor", 80.0, 79.4, 50, 2e-6),
        form("slow", 81.0, 81.0, 50, 9e-6),
        form("good", 79.6, 79.5, 100, 5e-6),
    ]
    assert choose(forms, BASE, TARGETS, 500).stage == "good"
    assert unmet(choose(forms, BASE, TARGETS, 500), BASE, TARGETS) == []


def test_the_test_images_have_no_say_in_the_choice():
    forms = [BASE, form("lucky", 90.0, 70.0, 50, 1e-6), form("good", 70.0, 80.0, 50, 2e-6)]
    shipped = choose(forms, BASE, TARGETS, 500)
    assert shipped.stage == "good"
    assert unmet(shipped, BASE, TARGETS) == ["accuracy drops by 10.00 points, 0.5 allowed"]


def test_where_none_is_good_enough_the_most_accurate_of_the_small_ones_is_shipped():
    forms = [
        BASE,
        form("quick", 70.0, 70.0, 50, 1e-6),
        form("best", 75.0, 75.0, 90, 60e-6),
        form("large", 80.0, 80.0, 500, 1e-6),
    ]
    shipped = choose(forms, BASE, TARGETS, 500)
    assert shipped.stage == "best"
    missed = unmet(shipped, BASE, TARGETS)
    assert missed[0] == "accuracy drops by 5.00 points, 0.5 allowed"
    assert missed[1] == "one image is 16.7× quicker, 20× wanted"
    large = replace(shipped, bytes=[200])
    assert "0.0002 MB, 0.0001 allowed" in unmet(large, BASE, TARGETS)[2]


def test_what_so_few_images_cannot_tell_apart_goes_by_speed():
    forms = [
        BASE,
        form("best", 75.0, 75.0, 90, 9e-6),
        form("as good", 73.5, 73.5, 90, 5e-6),  # one standard error of 500 images is 1.94 points
        form("worse", 73.0, 73.0, 90, 1e-6),
    ]
    assert choose(forms, BASE, TARGETS, 500).stage == "as good"
    assert choose(forms, BASE, TARGETS, 50_000).stage == "best"


def test_the_front_holds_what_nothing_beats():
    forms = [
        BASE,
        form("good", 79.0, 79.0, 50, 5e-6),
        form("beaten", 78.0, 79.0, 50, 6e-6),
        form("quick", 70.0, 79.0, 50, 1e-6),
    ]
    assert [found.stage for found in front(forms)] == ["quick", "good", "original"]


def test_nothing_to_ship_is_an_error():
    with pytest.raises(ValueError, match="no form can be shipped"):
        choose([BASE], BASE, TARGETS, 500)
