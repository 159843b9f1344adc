"""`python -m console` is `genfleet`."""

from console.cli import main

main()
