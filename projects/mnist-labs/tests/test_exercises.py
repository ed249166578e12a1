import pytest
import torch

from groundwork import UsageError
from mnist_labs.exercises import EXERCISES, mark, mark_all, read_answers, write_worksheet

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}


def marks(path):
    return {verdict.name: verdict for verdict in mark_all(EXERCISES, read_answers(path))}


def answered(path, **bodies):
    """A worksheet with some functions' bodies filled in."""
    write_worksheet(EXERCISES, path)
    text = path.read_text()
    for name, body in bodies.items():
        head, rest = text.split(f"def {name}(")
        text = f"{head}def {name}({rest.replace('raise NotAnsweredError', body, 1)}"
    path.write_text(text)
    return path


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_reference_passes_and_each_wrong_answer_fails(exercise):
    assert mark(exercise, exercise.reference).mark == "right"
    assert len(exercise.wrong) >= 2
    assert [mark(exercise, answer).mark for answer in exercise.wrong] == ["wrong"] * len(
        exercise.wrong
    )


def test_a_new_worksheet_is_all_unanswered_and_an_old_one_is_kept(tmp_path):
    path = tmp_path / "answers.py"
    write_worksheet(EXERCISES, path)
    assert {verdict.mark for verdict in marks(path).values()} == {"not answered"}
    path.write_text("")
    write_worksheet(EXERCISES, path)
    assert path.read_text() == ""
    assert len(marks(path)) == len(EXERCISES)


def test_answers_are_marked_one_by_one(tmp_path):
    path = answered(
        tmp_path / "answers.py",
        every_second="return x[::2]",
        diagonal="return x.diagonal().clone()",
        count_labels="return torch.bincount(y)",
        causal_mask="return 1 / 0",
    )
    verdicts = marks(path)
    assert verdicts["every_second"].mark == "right"
    assert "copy" in verdicts["diagonal"].why
    assert "not (4,)" in verdicts["count_labels"].why
    line = path.read_text().splitlines().index("    return 1 / 0") + 1
    assert f"ZeroDivisionError in line {line}" in verdicts["causal_mask"].why
    assert sum(verdict.mark == "not answered" for verdict in verdicts.values()) == len(verdicts) - 4


def test_an_error_inside_the_library_is_told_with_the_learners_line(tmp_path):
    path = answered(tmp_path / "answers.py", outer_sum="return torch.cdist(a, b, p='?')")
    line = path.read_text().splitlines().index("    return torch.cdist(a, b, p='?')") + 1
    assert f"in line {line}" in marks(path)["outer_sum"].why


def test_a_syntax_error_spoils_one_answer_only(tmp_path):
    path = answered(
        tmp_path / "answers.py", every_second="return x[::2]", windows="return x.unfold(0, k, 1"
    )
    verdicts = marks(path)
    assert verdicts["every_second"].mark == "right"
    assert verdicts["windows"].mark == "wrong"
    line = path.read_text().splitlines().index("    return x.unfold(0, k, 1") + 1
    assert f"SyntaxError in line {line}" in verdicts["windows"].why


def test_an_edited_file_is_read_anew(tmp_path):
    path = tmp_path / "answers.py"
    for body, expected in (("x[0::2]", "right"), ("x[1::2]", "wrong")):
        path.write_text(f"def every_second(x):\n    return {body}\n")
        assert marks(path)["every_second"].mark == expected


@pytest.mark.parametrize(
    "name, text, says",
    [
        ("answers.py", "import nothing_of_that_name\n", "line 1: ModuleNotFoundError"),
        ("answers.py", "\nx = = 1\n", "line 2"),
        ("answers.txt", "", "ends in .py"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=says):
        read_answers(tmp_path / name)


def test_an_answer_must_not_change_its_input_nor_assume_contiguous_memory():
    assert "changed its input" in mark(BY_NAME["standardise"], spoil).why
    assumes = mark(BY_NAME["windows"], lambda x, k: x.as_strided((len(x) - k + 1, k), (1, 1)))
    assert "strides (2,)" in assumes.why


def spoil(x):
    result = (x - x.mean(0)) / x.std(0, correction=0)
    x.zero_()
    return result


def test_in_place_means_the_same_tensor():
    exercise = BY_NAME["clear_negatives"]
    assert mark(exercise, lambda x: x.masked_fill_(x < 0, 0)).mark == "right"
    assert "another tensor" in mark(exercise, torch.relu).why
