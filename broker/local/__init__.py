"""Respool on one machine. No other room imports this one.

up.py        `make up`: the whole stack in one terminal
first_key.py the secrets of this machine, and a first API key where keys are asked for
embedded.py  a Valkey server of our own, for this user alone
"""
