"""`python -m mgdhw`: the command, where its script is not on the path."""

from mgdhw.cli.main import main

if __name__ == "__main__":
    main()
