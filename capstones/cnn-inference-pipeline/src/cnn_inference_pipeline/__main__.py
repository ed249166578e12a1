"""The package's own command: `cnn-inference-pipeline LAB …`, and `predict BUNDLE IMAGE…`."""

from collections.abc import Sequence

from groundwork.cli import package_command


def predict(words: Sequence[str]) -> None:
    """Classify image files with a bundle: predict BUNDLE IMAGE… [--top N] [--json]."""
    from cnn_inference_pipeline.bundle import predict_command

    predict_command(words)


main = package_command("cnn-inference-pipeline", {"predict": predict})

if __name__ == "__main__":
    main()
