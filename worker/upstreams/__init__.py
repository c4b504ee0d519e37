"""The model APIs that generations come from: a package for each, and what they share.

wording.py    what is passed on of an upstream's words

anthropic/    the Messages API
"""
