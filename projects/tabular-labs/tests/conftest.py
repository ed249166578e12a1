import pytest

from groundwork.run import Run
from groundwork.terminal import Terminal


@pytest.fixture
def make_run(tmp_path):
    """A run in a temporary folder, its terminal silent."""
    return lambda: Run(tmp_path, seed=0, terminal=Terminal(None))
