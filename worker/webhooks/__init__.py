"""Ends of generations, told to whoever asked for it.

deliverer.py  takes what is due, tries it, notes what came of it
posting.py    one POST: the address that was checked is the one that is connected to
message.py    what is told, and its signatures; pure
schedule.py   when it is tried again; pure

A delivery is put aside in the step that ends its generation, and has a place in coordination from the step that files the end.
Whoever takes one has it for some seconds: if it dies meanwhile, another tries again. So an end is told at least once, and a
receiver knows by `webhook-id` what it has heard before.
"""
