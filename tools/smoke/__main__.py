"""Entry point of `make smoke`."""

from tools.smoke.cli import main

if __name__ == "__main__":
    main()
