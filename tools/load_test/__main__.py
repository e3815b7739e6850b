"""Entry point of `make load` with a rate."""

from tools.load_test.cli import main

if __name__ == "__main__":
    main()
