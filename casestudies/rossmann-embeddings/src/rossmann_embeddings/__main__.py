"""The package's own command: `rossmann-embeddings LAB …`, and `forecast` for the next weeks."""

from collections.abc import Sequence

from groundwork.cli import package_command


def forecast(words: Sequence[str]) -> None:
    """Forecast the next weeks of chosen stores: CSV and figure; forecast --help for options."""
    from rossmann_embeddings.forecasting import forecast_command

    forecast_command(words)


main = package_command("rossmann-embeddings", {"forecast": forecast})

if __name__ == "__main__":
    main()
