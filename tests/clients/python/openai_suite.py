"""The official OpenAI SDK for Python against fgy. Every function with a sentence is a case."""

import os

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from common import DIRECT, KEY, PROVIDER, URL, Provider, equal, fresh, main, outcome, same, user

MODEL = "gpt-4o"
client = OpenAI(api_key=KEY, base_url=URL, default_headers=PROVIDER, max_retries=0)


def aclient():
    return AsyncOpenAI(api_key=KEY, base_url=URL, default_headers=PROVIDER, max_retries=0)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


def ask(expected, **fields):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, **fields)
    outcome(raw.headers, expected)
    return raw.parse()


def listen(expected, **fields):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, stream=True, **fields)
    outcome(raw.headers, expected)
    return list(raw.parse())


def text(chunks, index=0):
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def published_snippet():
    """The published snippet works with its base URL changed and nothing else."""
    os.environ["OPENAI_API_KEY"] = "sk-canary-provider"
    snippet = OpenAI(
        api_key=KEY,
        base_url=URL,
        default_headers={"X-Provider-Auth": f"Bearer {os.environ['OPENAI_API_KEY']}"},
    )
    prompt = fresh()
    with Provider(1, direct=2):
        answers = [
            snippet.chat.completions.create(model=MODEL, messages=user(prompt)) for _ in range(2)
        ]
    same(*[answer.choices[0].message.content for answer in answers])


def plain_twice():
    """A repeat is a hit, and the whole answer is the same."""
    messages = user(fresh())
    with Provider(1, direct=2):
        first, second = ask("miss", messages=messages), ask("hit", messages=messages)
    same(first.model_dump(exclude={"created"}), second.model_dump(exclude={"created"}))
    equal(first.choices[0].finish_reason, "stop", "finish reason")
    assert first.usage.total_tokens > 0


def streamed_twice():
    """A streamed repeat brings the same chunks."""
    messages = user(fresh(order="chunks=12 pace_ms=2"))
    with Provider(1, direct=2):
        first, second = listen("miss", messages=messages), listen("hit", messages=messages)
    same([c.choices[0].delta.content for c in first], [c.choices[0].delta.content for c in second])
    equal(len(first), 14, "chunks")
    assert all(chunk.usage is None for chunk in first), "usage was not asked for"


def stream_then_plain():
    """A streamed answer serves a plain repeat, folded without loss."""
    messages = user(fresh(order="reasoning=3 extra=true"))
    with Provider(1, direct=2):
        chunks, answer = listen("miss", messages=messages), ask("hit", messages=messages)
    same(text(chunks), answer.choices[0].message.content)
    thought = [c.choices[0].delta.model_extra.get("reasoning_content") or "" for c in chunks]
    same("".join(thought), answer.choices[0].message.model_extra["reasoning_content"])
    same(chunks[0].id, answer.id)
    assert answer.usage.completion_tokens > 0, "a folded answer tells its usage"


def plain_then_stream():
    """A plain answer serves a streamed repeat."""
    messages = user(fresh())
    with Provider(1, direct=2):
        answer, chunks = ask("miss", messages=messages), listen("hit", messages=messages)
    same(answer.choices[0].message.content, text(chunks))
    equal(chunks[-1].choices[0].finish_reason, "stop", "finish reason")


def usage_in_streams():
    """Usage comes in a stream when it is asked for, from the cache too, and else not."""
    messages = user(fresh())
    options = {"stream_options": {"include_usage": True}}
    first = listen("miss", messages=messages, **options)
    second = listen("hit", messages=messages, **options)
    for chunks in (first, second):
        equal(chunks[-1].choices, [], "choices of the usage chunk")
        assert chunks[-1].usage.completion_tokens > 0
        assert all(chunk.usage is None for chunk in chunks[:-1])
    quiet = listen("hit", messages=messages)
    assert all(chunk.usage is None and chunk.choices for chunk in quiet)


def tools_twice():
    """A tool call is kept, its arguments parse."""
    fields = {"messages": user(fresh()), "tools": [WEATHER], "tool_choice": "required"}
    first, second = ask("miss", **fields), ask("hit", **fields)
    calls = [answer.choices[0].message.tool_calls[0] for answer in (first, second)]
    same(calls[0].model_dump(), calls[1].model_dump())
    equal(calls[0].function.name, "get_weather", "tool")
    equal(first.choices[0].finish_reason, "tool_calls", "finish reason")


def streamed_tool_arguments():
    """Tool arguments in pieces fold into what a plain repeat says."""
    messages = user(fresh(order="tools=2 chunks=5"))
    fields = {"messages": messages, "tools": [WEATHER], "tool_choice": "required"}
    chunks, answer = listen("miss", **fields), ask("hit", **fields)
    pieces = ["", ""]
    for chunk in chunks:
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            pieces[call.index] += call.function.arguments or ""
    same(pieces, [call.function.arguments for call in answer.choices[0].message.tool_calls])
    assert '"city"' in pieces[0] and pieces[0].endswith("}")


class Person(BaseModel):
    name: str
    age: int


def structured_output():
    """A structured answer parses into its class, from the cache too."""
    messages = user(fresh())
    with Provider(1, direct=2):
        answers = [
            client.chat.completions.parse(model=MODEL, messages=messages, response_format=Person)
            for _ in range(2)
        ]
    people = [answer.choices[0].message.parsed for answer in answers]
    assert all(isinstance(person, Person) for person in people)
    same(*people)


def streamed_structured_output():
    """The SDK's stream helper parses a structured stream."""
    messages = user(fresh())
    people = []
    with Provider(1, direct=2):
        for _ in range(2):
            with client.chat.completions.stream(
                model=MODEL, messages=messages, response_format=Person
            ) as stream:
                people.append(stream.get_final_completion().choices[0].message.parsed)
    same(*people)


def several_choices():
    """All choices are kept, streamed and folded alike."""
    fields = {"messages": user(fresh()), "n": 3}
    chunks, answer = listen("miss", **fields), ask("hit", **fields)
    equal(len(answer.choices), 3, "choices")
    same([text(chunks, i) for i in range(3)], [c.message.content for c in answer.choices])
    equal(len({choice.message.content for choice in answer.choices}), 3, "different choices")


def log_probabilities():
    """Log probabilities survive plain, streamed and folded."""
    fields = {"messages": user(fresh()), "logprobs": True, "top_logprobs": 1}
    chunks, answer = listen("miss", **fields), ask("hit", **fields)
    told = [c.choices[0].logprobs for c in chunks if c.choices and c.choices[0].logprobs]
    streamed = [token.model_dump() for each in told for token in each.content]
    same(streamed, [token.model_dump() for token in answer.choices[0].logprobs.content])
    equal(len(streamed), 8, "tokens")


def what_changes_the_answer_changes_the_key():
    """Another temperature, seed, limit or unknown parameter is another question."""
    messages = user(fresh())
    ask("miss", messages=messages)
    others = [{"temperature": 0.3}, {"seed": 7}, {"max_tokens": 9}, {"extra_body": {"odd": 1}}]
    for other in others:
        ask("miss", messages=messages, **other)
    ask("hit", messages=messages, user="someone", metadata={"a": "b"})
    ask("miss", messages=messages, temperature=0)
    ask("hit", messages=messages, temperature=0.0)


def not_kept():
    """An answer cut by its limit, filtered or refused is never kept."""
    for order in ("finish=length", "finish=content_filter", 'refusal="I will not"'):
        messages = user(fresh(order=order))
        with Provider(2, direct=2):
            ask("miss", messages=messages)
            ask("miss", messages=messages)


def completions():
    """The older text format hits too."""
    prompt = fresh()
    texts = []
    for expected in ("miss", "hit"):
        raw = client.completions.with_raw_response.create(model="gpt-4o", prompt=prompt)
        outcome(raw.headers, expected)
        texts.append(raw.parse().choices[0].text)
    same(*texts)


def embeddings_batch():
    """A batch is looked up item by item, in order; only what is missing is paid for."""
    one, two, three = fresh(), fresh(), fresh()

    def embed(inputs, expected, **fields):
        raw = client.embeddings.with_raw_response.create(
            model="text-embedding-3-small", input=inputs, dimensions=16, **fields
        )
        outcome(raw.headers, expected, str(len(inputs)))
        items = raw.parse().data
        equal([item.index for item in items], list(range(len(items))), "order")
        return [item.embedding for item in items], raw.headers

    first, _ = embed([one, two], "miss")
    with Provider(1, direct=1):
        mixed, headers = embed([three, two, one], "miss")
    if not DIRECT:
        equal(headers["x-fgy-cache-reason"], "partial-2-of-3", "reason")
    equal(mixed[1:], first[::-1], "vectors of the batch")
    with Provider(0, direct=1):
        again, _ = embed([one, two, three], "hit")
    equal(again, first + mixed[:1], "vectors from the cache")
    floats, _ = embed([one], "miss", encoding_format="float")
    assert all(abs(a - b) < 1e-6 for a, b in zip(floats[0], first[0]))


def models():
    """The model list is passed through."""
    assert MODEL in [model.id for model in client.models.list()]


def wrong_key():
    """An unknown key is an authentication error in OpenAI's shape."""
    if DIRECT:
        return
    wrong = OpenAI(api_key="fgy_wrong", base_url=URL, default_headers=PROVIDER, max_retries=0)
    try:
        wrong.chat.completions.create(model=MODEL, messages=user(fresh()))
    except openai.AuthenticationError as error:
        assert error.body and error.body["message"], error
        return
    raise AssertionError("a wrong key was let in")


def no_provider_key():
    """A miss without a provider key is a 401 that names the header; a hit needs none."""
    if DIRECT:
        return
    bare = OpenAI(api_key=KEY, base_url=URL, max_retries=0)
    messages = user(fresh())
    try:
        bare.chat.completions.create(model=MODEL, messages=messages)
    except openai.AuthenticationError as error:
        assert "x-provider-auth" in str(error).lower(), error
    else:
        raise AssertionError("a miss without a provider key was answered")
    first = ask("miss", messages=messages)
    second = bare.chat.completions.create(model=MODEL, messages=messages)
    same(first.choices[0].message.content, second.choices[0].message.content)


def provider_errors():
    """A provider's error arrives with its own status and body, and is never kept."""
    table = [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)]
    for status, kind in table:
        messages = user(fresh(order=f"status={status} times=1"))
        try:
            ask("miss", messages=messages)
            raise AssertionError(f"{status} was answered")
        except kind as error:
            equal(error.status_code, status, "status")
            assert f"mock error {status}" in str(error), error
        ask("miss", messages=messages)
        ask("hit", messages=messages)


def sdk_retries():
    """The SDK's own retries go through a 500 and a 429 and end in one kept answer."""
    patient = OpenAI(api_key=KEY, base_url=URL, default_headers=PROVIDER, max_retries=2)
    for status in (500, 429):
        messages = user(fresh(order=f"status={status} times=2 retry_after_seconds=0"))
        with Provider(3, direct=4):
            for _ in range(2):
                patient.chat.completions.create(model=MODEL, messages=messages)


def cut_streams():
    """A stream cut short is an error at the caller and is never kept."""
    for order in ("fail=cut fail_at=4", "fail=half fail_at=4", "fail=event fail_at=4"):
        messages = user(fresh(order=f"{order} times=1"))
        try:
            chunks = listen("miss", messages=messages)
        except Exception as error:  # which one depends on how the stream ended
            assert not isinstance(error, AssertionError), error
        else:
            raise AssertionError(f"{order}: {len(chunks)} chunks and no error")
        listen("miss", messages=messages)
        listen("hit", messages=messages)


def no_cache_header():
    """`Cache-Control: no-cache` asks anew and keeps the fresh answer."""
    messages = user(fresh())
    ask("miss", messages=messages)
    fresh_one = ask("refresh", messages=messages, extra_headers={"Cache-Control": "no-cache"})
    kept = ask("hit", messages=messages)
    same(fresh_one.choices[0].message.content, kept.choices[0].message.content)


async def async_plain_and_streamed():
    """The async client hits, plain and streamed."""
    asynchronous = aclient()
    messages = user(fresh())
    raw = await asynchronous.chat.completions.with_raw_response.create(model=MODEL, messages=messages)
    outcome(raw.headers, "miss")
    stream = await asynchronous.chat.completions.create(model=MODEL, messages=messages, stream=True)
    streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    same(raw.parse().choices[0].message.content, streamed)


async def async_together():
    """Twenty askers at once are one call upstream."""
    import asyncio

    asynchronous = aclient()
    messages = user(fresh(order="latency_ms=300"))

    async def one():
        answer = await asynchronous.chat.completions.create(model=MODEL, messages=messages)
        return answer.choices[0].message.content

    with Provider(1, direct=20):
        answers = await asyncio.gather(*[one() for _ in range(20)])
    equal(len(set(answers)), 20 if DIRECT else 1, "different answers")


main("openai", __name__)
