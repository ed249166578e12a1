"""The package's own command: `unsupervised-learning LAB …`."""

from groundwork.cli import package_command

main = package_command("unsupervised-learning")

if __name__ == "__main__":
    main()
