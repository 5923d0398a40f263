"""`python -m pipeline` is `earmark`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
