"""LlamaIndex's OpenAI model against fgy."""

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

from common import KEY, PROVIDER, URL, Provider, fresh, main, same

model = OpenAI(model="gpt-4o", api_key=KEY, api_base=URL, default_headers=PROVIDER, max_retries=0)


def plain_twice():
    """A repeat costs nothing."""
    messages = [ChatMessage(role="user", content=fresh())]
    with Provider(1, direct=2):
        answers = [model.chat(messages).message.content for _ in range(2)]
    same(*answers)


def streamed_then_plain():
    """A streamed answer serves a plain repeat."""
    prompt = fresh()
    with Provider(1, direct=2):
        streamed = list(model.stream_complete(prompt))[-1].text
        plain = model.complete(prompt).text
    same(streamed, plain)


async def async_plain():
    """The async face hits as well."""
    prompt = fresh()
    with Provider(1, direct=2):
        answers = [(await model.acomplete(prompt)).text for _ in range(2)]
    same(*answers)


main("llama-index", __name__)
