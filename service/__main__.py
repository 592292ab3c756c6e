"""`python -m service` is `loopgauge`."""

from service.cli import main

main(prog_name="loopgauge")
