"""The OpenAI SDK through fgy to litellm's proxy. Its access log counts the calls."""

import os
import uuid

import openai
from openai import OpenAI

URL, KEY = os.environ["FGY_CLIENTS_URL"], os.environ["FGY_CLIENTS_KEY"]
DIRECT = os.environ["FGY_CLIENTS_DIRECT"] == "1"
SAID = "water finds its way to the sea"
PROVIDER = {"X-Provider-Auth": f"Bearer {os.environ['FGY_CLIENTS_PROVIDER_KEY']}"}
client = OpenAI(api_key=KEY, base_url=URL, default_headers=PROVIDER, max_retries=0)


def calls():
    with open(os.environ["FGY_CLIENTS_LOG"], encoding="utf-8", errors="replace") as log:
        return sum("POST /v1/chat/completions" in line for line in log)


def ask(expected, messages, stream):
    create = client.chat.completions.with_raw_response.create
    raw = create(model="gpt-4o", messages=messages, stream=stream)
    told = raw.headers.get("x-fgy-cache")
    assert told == (None if DIRECT else expected), f"x-fgy-cache: {told}, not {expected}"
    if not stream:
        return raw.parse().choices[0].message.content
    chunks = [chunk for chunk in raw.parse() if chunk.choices]
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


for first, second in [(False, False), (True, True), (True, False), (False, True)]:
    messages = [{"role": "user", "content": f"name a river of the atlas {uuid.uuid4()}"}]
    before = calls()
    answers = ask("miss", messages, first), ask("hit", messages, second)
    assert answers == (SAID, SAID), answers
    made = calls() - before
    assert made == (2 if DIRECT else 1), f"{made} calls to litellm"
    shape = ["plain", "streamed"]
    print(f"ok    litellm: {shape[first]} then {shape[second]}")

wrong = client.with_options(default_headers={"X-Provider-Auth": "Bearer sk-wrong"})
if not DIRECT:
    try:
        wrong.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": f"another {uuid.uuid4()}"}]
        )
    except openai.APIStatusError as error:
        assert error.status_code in (400, 401), error
        print("ok    litellm: its refusal of a wrong provider key is passed on")
    else:
        raise AssertionError("a wrong provider key was accepted")
