"""The ingest service of Headwater."""
