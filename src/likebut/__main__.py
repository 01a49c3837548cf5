"""`python -m likebut`, which is how launchers of several processes start it."""

from likebut.cli.main import main

if __name__ == "__main__":
    main()
