import sys

import pytest

from groundwork.lazy import on_demand


def test_a_module_is_loaded_when_its_name_is_asked_for(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lazy_demo"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "heavy.py").write_text("answer, other = 42, 43\n")
    monkeypatch.syspath_prepend(tmp_path)
    find, names = on_demand("lazy_demo", {"heavy": "answer other"})
    assert names() == ["answer", "other"]
    assert "lazy_demo.heavy" not in sys.modules
    assert find("answer") == 42
    assert "lazy_demo.heavy" in sys.modules
    with pytest.raises(AttributeError, match=r"lazy_demo.*'missing'"):
        find("missing")
