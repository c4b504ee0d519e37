"""Requests of other vocabularies, as the GenerationRequest that says the same. Pure.

What a request says is either said in the words of Messages, or it is refused with a pointer to the place: nothing is left out
in silence. What asks for nothing may be left out, and docs/protocol.md names it.

reading.py           a value of a body, with its place: what may be read of it, and how it is refused
messages.py          Anthropic's own Messages
openai.py            what both of OpenAI's APIs say alike: tools, tool choices, images, effort, who asks
responses.py         a request of OpenAI's Responses API, and one that goes on from an earlier response
responses_input.py   its input: messages, calls and their results, reasoning
ui.py                a request of the AI SDK's chat transports; ui_messages.py: its messages
completions.py       a request of OpenAI's Chat Completions; completions_messages.py: its messages
langgraph.py         a run of LangGraph's; langgraph_messages.py: its messages
"""
