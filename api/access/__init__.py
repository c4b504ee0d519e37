"""Who may. Pure.

gate.py    who asks, and whether a generation is there for that one: asked by the routes and by the fast path alike
links.py   view links: what their tokens say, and who believes it
origin.py  which hosts are answered for, and which pages may read and change something
peers.py   whose address a request comes from, where a proxy stands before the API
"""
