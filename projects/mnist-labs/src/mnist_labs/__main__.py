"""The package's own command: `mnist-labs LAB …` is `groundwork run mnist-labs/LAB …`."""

from groundwork.cli import package_command

main = package_command("mnist-labs")

if __name__ == "__main__":
    main()
