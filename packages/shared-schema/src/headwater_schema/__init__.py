"""The wire format of Headwater."""
