"""The package's own command: `tabular-labs LAB …`, and `predict LAB TABLE.csv`."""

from collections.abc import Sequence

from groundwork.cli import package_command


def predict(words: Sequence[str]) -> None:
    """Answer for each row of a table: predict LAB TABLE.csv [--run FOLDER] [--out FILE.csv]."""
    from tabular_labs.prediction import predict_command

    predict_command(words)


main = package_command("tabular-labs", {"predict": predict})

if __name__ == "__main__":
    main()
