"""Writing to logs.

writer.py    one attempt's hand on its log: what is written, what waits, what may have to be written again; no I/O
appender.py  the one task that writes, for all generations of the process: one trip to Redis per flush
"""
