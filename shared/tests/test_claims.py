import pytest

from groundwork.claims import Claim, check_claims


@pytest.mark.parametrize(
    "op, value, holds",
    [("<", 2, False), ("<=", 2, True), ("==", 2, True), (">=", 2, True), (">", 2, False)],
)
def test_each_operator_at_its_bound(op: str, value: float, holds: bool) -> None:
    assert Claim("m", op, 2).check({"m": {"value": value}}, {})["holds"] is holds


def test_a_number_that_was_not_measured_does_not_hold() -> None:
    entry = Claim("m", "<=", 1).check({}, {})
    assert entry["value"] is None
    assert entry["holds"] is False


def test_a_ratio_is_read_from_the_comparison() -> None:
    entry = Claim("ratio.sort", "<=", 1.0).check({}, {"sort": {"ratio": 0.5}})
    assert entry == {"name": "ratio.sort", "op": "<=", "bound": 1.0, "value": 0.5, "holds": True}


def test_only_the_claims_of_the_preset_are_checked() -> None:
    claims = [Claim("a", ">", 0), Claim("b", ">", 0, presets=("full",))]
    names = [entry["name"] for entry in check_claims(claims, "smoke", {}, {})]
    assert names == ["a"]


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="operator '=<'"):
        Claim("m", "=<", 1)
