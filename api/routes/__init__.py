"""One family of URLs a file.

generations.py  `/v1/generations`, and the chat form
anew.py         the same request again, and what goes on from its text
service.py      what the routes work with: one object per process
views.py        records as JSON
openapi.py      the description of all this, made of what validates it; docs_page.py, a page to try it
"""
