"""`python -m dnc_edge`."""

from dnc_edge.cli.main import main

main()
