"""`python -m cmrbench` is `cmrbench`."""

from cmrbench.cli import main

if __name__ == "__main__":
    main()
