"""`headwater-ingest explain`: what the service would do with a request, and why.

The request goes through the same routes, intake and pipeline as in the service, over
the operator's settings, sites and data files. What lies behind them is replaced by
parts that write nothing, and every part that could tell more than the service would
act upon is left out: no salt is read, and no open session.
"""
