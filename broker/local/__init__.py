"""Respool on one machine. No other room imports this one.

up.py        `make up`: the whole stack in one terminal
embedded.py  a Valkey server of our own, for this user alone
"""
