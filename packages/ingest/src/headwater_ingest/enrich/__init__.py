"""What is learnt about an event from its address, URL, referrer and agent.

Everything here is pure: time is passed in, and files are read by small loaders only.
Nothing raises on any input of an event, work on one is bounded, and so is every cache.
"""
