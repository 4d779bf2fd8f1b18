"""Who a visitor is for a day, and which of their events belong to one visit.

No cookie and no stored address: a visitor is a hash of what their browser sends anyway,
under a salt that is forgotten after two days.
"""
