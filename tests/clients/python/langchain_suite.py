"""LangChain's ChatOpenAI and OpenAIEmbeddings against fgy."""

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from common import KEY, PROVIDER, URL, Provider, fresh, main, same

SETTINGS = {"api_key": KEY, "base_url": URL, "default_headers": PROVIDER, "max_retries": 0}
model = ChatOpenAI(model="gpt-4o", **SETTINGS)


@tool
def get_weather(city: str) -> str:
    "The weather of a city."
    return city


get_weather.__doc__ = None


class Person(BaseModel):
    name: str
    age: int


def plain_twice():
    """A repeat costs nothing."""
    prompt = fresh()
    with Provider(1, direct=2):
        answers = [model.invoke(prompt).content for _ in range(2)]
    same(*answers)


def streamed_then_plain():
    """A streamed answer serves a plain repeat."""
    prompt = fresh()
    with Provider(1, direct=2):
        streamed = "".join(chunk.content for chunk in model.stream(prompt))
        plain = model.invoke(prompt).content
    same(streamed, plain)


async def async_batch():
    """A batch of equal prompts is one call upstream."""
    prompt = fresh(order="latency_ms=200")
    with Provider(1, direct=5):
        answers = await model.abatch([prompt] * 5)
    same(answers[0].content, answers[4].content)


def tools_twice():
    """Bound tools are called from the cache."""
    bound = model.bind_tools([get_weather], tool_choice="get_weather")
    prompt = fresh()
    with Provider(1, direct=2):
        calls = [bound.invoke(prompt).tool_calls for _ in range(2)]
    assert calls[0][0]["name"] == "get_weather" and calls[0][0]["args"]["city"]
    same(*calls)


def structured_output():
    """Structured output parses, from the cache too."""
    structured = model.with_structured_output(Person)
    prompt = fresh()
    with Provider(1, direct=2):
        people = [structured.invoke(prompt) for _ in range(2)]
    assert isinstance(people[0], Person)
    same(*people)


def embeddings():
    """Documents embedded once are not embedded again."""
    embedder = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, **SETTINGS)
    documents = [fresh(), fresh()]
    with Provider(1, direct=2):
        first = embedder.embed_documents(documents)
        assert embedder.embed_documents(documents) == first
    assert embedder.embed_query(documents[1]) == first[1]


main("langchain", __name__)
