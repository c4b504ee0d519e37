"""Who may. Pure.

gate.py         who asks, and whether a generation is there for that one: asked by the routes and by the fast path alike
api_keys.py     an API key as text: its parts, its checksum
peppers.py      how keys are hashed
credentials.py  what a request says of who asks
links.py        view links: what their tokens say, and who believes it
linked.py       who comes with a view link, before any other policy; link_secrets.py: what links are signed with
origin.py       which hosts are answered for, and which pages may read and change something
peers.py        whose address a request comes from, where a proxy stands before the API
"""
