"""From bytes to a socket.

connections.py     how many there may be, and how long each may owe its next request
bounded.py         uvicorn's protocol class, bounded: heads, pipelines, upgrades
request_head.py    what is wrong with a head
guard.py           hosts, origins and CORS on any server
admission.py       asks the gate about each request, on any server
fast_path.py       serves from memory those who come back, before there is a call of the application
uvicorn_direct.py  our uvicorn protocol classes: a stream's socket is written to by its rendition
uvicorn_socket.py  those for WebSockets; lending.py: the socket, lent
asgi.py            a viewer as a response, on any ASGI server
sockets.py         a WebSocket that carries a bundle of viewers, on any ASGI server
parts.py           a long document as a response: in pieces that all who get it share
progress.py        whether a client takes what it is sent, however slowly
"""
