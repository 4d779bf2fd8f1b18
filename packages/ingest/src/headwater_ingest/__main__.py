"""`python -m headwater_ingest` is the command line."""

from headwater_ingest.cli import main

main()
