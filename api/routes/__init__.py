"""One family of URLs a file.

generations.py  `/v1/generations`
chat.py         the chat form: submit and follow in one
responses.py    `/v1/responses`, as OpenAI has it; completions.py: `/v1/chat/completions`
ui_chat.py      `/api/chat`: the AI SDK's chat; ui_socket.py: over a WebSocket; chats.py: what both have
langgraph.py    `/threads`, as LangGraph's SDK asks; langgraph_threads.py: what a thread has
webhooks.py     an end is told again
batch.py        many submits in one request
limits.py       what a tenant may use, and what it does
anew.py         the same request again, and what goes on from its text
admin_keys.py   `/v1/admin/keys`: API keys are made and revoked
durable.py      a generation as a durable stream, to read
view_links.py   links by which anybody reads one generation
asking.py       who asks, and which cell it is about: before any route does anything
erasing.py      of one generation, or of all that have some labels, nothing stays
auditing.py     what is noted in the audit log
accepting.py    what was asked for is accepted, and its whole is waited for
repeats.py      which generation a repeat without a name gets
arriving.py     what is found out before somebody follows; following.py: a generation as an event stream
socket.py       `/v1/ws`: one connection follows many generations; conversing.py: what any WebSocket of ours has
cancelling.py   somebody asks for its end
cells.py        the cells of a process as one: whose generation it is, where a new one goes
naming.py       generations by the names that clients give them, in all cells
claiming.py     the next run of a thread, claimed before it is made
merging.py      lists of several cells as one; readiness.py: how each cell is
service.py      one cell, for the routes that have an id in their path
views.py        records as JSON
messages.py     Anthropic's Messages; models.py: the models, and how many tokens a prompt has
upstream.py     what this process asks an upstream for itself
foreign.py      what the description says of other vocabularies
openapi.py      the description of all this, made of what validates it; docs_page.py, a page to try it
"""
