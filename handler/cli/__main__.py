"""`python -m handler.cli` is the command `unmirror`."""

from handler.cli import main

main()
