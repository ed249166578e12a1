"""The package's own command: `quantized-cnn LAB …`."""

from groundwork.cli import package_command

main = package_command("quantized-cnn")

if __name__ == "__main__":
    main()
