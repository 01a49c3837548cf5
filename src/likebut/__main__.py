"""``python -m likebut``, for launchers of several processes such as torchrun."""

from likebut.cli.main import main

if __name__ == "__main__":
    main()
