"""The package's own command: `inference-backends LAB …`."""

from groundwork.cli import package_command

main = package_command("inference-backends")

if __name__ == "__main__":
    main()
