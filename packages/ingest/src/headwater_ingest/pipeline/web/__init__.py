"""What happens to a web event: ordered, named steps, each of which may drop it."""
