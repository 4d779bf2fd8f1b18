"""What happens to an event between the door and the journal.

Everything here is pure: the time and the answer to "is it known?" are passed in, and
nothing waits.
"""
