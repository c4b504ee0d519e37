"""OpenAI's two APIs, through its SDK, which is large: client.py alone imports it at once. A request comes in the Messages
form and goes out in theirs; what they answer becomes the entries that an answer of Messages would.

client.py            the call: its events as they come, its failures by name
failures.py          which failure an error of theirs is; pure
asking.py            what of a Messages request both say alike, and what neither can say; pure
responses_ask.py     a request of the Responses API; pure
responses_answer.py  its events as entries; pure
chat_ask.py          a request of Chat Completions; pure
chat_answer.py       its chunks as entries; pure
blocks.py            the blocks of one answer: where each stands, which is open; pure
words.py             usage and the beginning of an answer in the words of Messages; pure
"""
