"""Start of the `weightsmith` command, also as `python -m weightsmith`."""

import gc

from weightsmith.cli.interrupt import ending_at_once


def main() -> None:
    """Load the commands and run the one that was asked for.

    Most of a light command's time goes into imports, and a tenth of that into collecting garbage that is not there;
    so garbage is collected less often.
    """
    gc.set_threshold(50_000)
    with ending_at_once():
        from weightsmith.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
