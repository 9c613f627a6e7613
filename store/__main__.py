"""`python -m store`: the same as the command `store`."""

from store.cli.app import main

if __name__ == "__main__":
    main()
