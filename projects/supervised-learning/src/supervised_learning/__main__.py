"""The package's own command: `supervised-learning LAB …`."""

from groundwork.cli import package_command

main = package_command("supervised-learning")

if __name__ == "__main__":
    main()
