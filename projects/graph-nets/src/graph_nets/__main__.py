"""The package's own command: `graph-nets LAB …`."""

from groundwork.cli import package_command

main = package_command("graph-nets")

if __name__ == "__main__":
    main()
