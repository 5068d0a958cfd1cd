// The official OpenAI SDK for Node and Vercel's AI SDK against fgy. Every request goes through the
// real package; each case asserts on X-Fgy-Cache, the content and the calls upstream.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateObject, generateText, streamText } from "ai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { FGY_CLIENTS_URL: baseURL, FGY_CLIENTS_KEY: apiKey, FGY_CLIENTS_MOCK: mock } = process.env;
const direct = process.env.FGY_CLIENTS_DIRECT === "1";
const headers = { "X-Provider-Auth": "Bearer test-provider-key" };
const model = "gpt-4o";
const client = new OpenAI({ apiKey, baseURL, defaultHeaders: headers, maxRetries: 0 });
const vercel = createOpenAI({ apiKey, baseURL, headers });

const fresh = (order = "") =>
    `name a river of the atlas ${randomUUID()}` + (order && ` [[mock ${order}]]`);
const user = (prompt) => [{ role: "user", content: prompt }];

// How often the provider is asked while `work` runs: exactly `calls` through fgy.
async function provider(calls, straight, work) {
    const asked = async () => (await (await fetch(`${mock}/__calls?last=0`)).json()).totals.calls;
    const before = await asked();
    const made = await work();
    assert.equal((await asked()) - before, direct ? straight : calls, "calls upstream");
    return made;
}

// A repeat is the same answer from the cache, and another one without it.
function same(first, second) {
    (direct ? assert.notDeepEqual : assert.deepEqual)(second, first);
}

async function ask(expected, fields) {
    const { data, response } = await client.chat.completions.create({ model, ...fields }).withResponse();
    assert.equal(response.headers.get("x-fgy-cache"), direct ? null : expected);
    return data;
}

async function listen(expected, fields) {
    const stream = await ask(expected, { ...fields, stream: true });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
}

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

const weather = {
    type: "function",
    function: {
        name: "get_weather",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
};
const Person = z.object({ name: z.string(), age: z.number() });

const cases = {
    async "openai: plain twice"() {
        const messages = user(fresh());
        await provider(1, 2, async () => {
            same(await ask("miss", { messages }), await ask("hit", { messages }));
        });
    },
    async "openai: streamed twice"() {
        const messages = user(fresh("chunks=9 pace_ms=2"));
        const [first, second] = await provider(1, 2, async () => [
            await listen("miss", { messages }),
            await listen("hit", { messages }),
        ]);
        same(first.map((chunk) => chunk.choices), second.map((chunk) => chunk.choices));
        assert.equal(first.length, 11);
    },
    async "openai: stream then plain, plain then stream"() {
        for (const streamFirst of [true, false]) {
            const messages = user(fresh());
            const plain = async (expected) => (await ask(expected, { messages })).choices[0].message.content;
            const streamed = async (expected) => text(await listen(expected, { messages }));
            const order = streamFirst ? [streamed, plain] : [plain, streamed];
            same(await order[0]("miss"), await order[1]("hit"));
        }
    },
    async "openai: usage in streams"() {
        const messages = user(fresh());
        for (const expected of ["miss", "hit"]) {
            const chunks = await listen(expected, { messages, stream_options: { include_usage: true } });
            assert.ok(chunks.at(-1).usage.completion_tokens > 0);
        }
        const quiet = await listen("hit", { messages });
        assert.ok(quiet.length > 2 && quiet.every((chunk) => !chunk.usage));
    },
    async "openai: streamed tool arguments"() {
        const fields = { messages: user(fresh("chunks=4")), tools: [weather], tool_choice: "required" };
        const chunks = await listen("miss", fields);
        const pieces = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
        const plain = (await ask("hit", fields)).choices[0].message.tool_calls[0].function.arguments;
        const streamed = pieces.map((piece) => piece.function.arguments ?? "").join("");
        same(streamed, plain);
        assert.ok(pieces.length > 2 && JSON.parse(streamed).city);
    },
    async "openai: structured output"() {
        const messages = user(fresh());
        const response_format = zodResponseFormat(Person, "person");
        const parse = () => client.chat.completions.parse({ model, messages, response_format });
        const people = await provider(1, 2, async () => [await parse(), await parse()]);
        const [first, second] = people.map((answer) => answer.choices[0].message.parsed);
        Person.parse(first);
        same(first, second);
    },
    async "openai: embeddings batch"() {
        const [one, two, three] = [fresh(), fresh(), fresh()];
        const embed = async (input) => {
            const answer = await client.embeddings.create({ model: "text-embedding-3-small", input, dimensions: 8 });
            return answer.data.map((item) => item.embedding);
        };
        const first = await provider(1, 1, () => embed([one, two]));
        const mixed = await provider(1, 1, () => embed([three, two, one]));
        assert.deepEqual(mixed.slice(1), [first[1], first[0]]);
        assert.deepEqual(await provider(0, 1, () => embed([two, three])), [first[1], mixed[0]]);
    },
    async "openai: errors keep their status"() {
        const kinds = [[400, OpenAI.BadRequestError], [429, OpenAI.RateLimitError], [500, OpenAI.InternalServerError]];
        for (const [status, kind] of kinds) {
            const messages = user(fresh(`status=${status} times=1`));
            await assert.rejects(ask("miss", { messages }), (error) => {
                assert.ok(error instanceof kind, String(error));
                assert.equal(error.status, status);
                assert.match(error.message, new RegExp(`mock error ${status}`));
                return true;
            });
            await ask("miss", { messages });
            await ask("hit", { messages });
        }
    },
    async "openai: the SDK's retries end in one kept answer"() {
        const patient = new OpenAI({ apiKey, baseURL, defaultHeaders: headers, maxRetries: 2 });
        const messages = user(fresh("status=429 times=2 retry_after_seconds=0"));
        await provider(3, 4, async () => {
            for (let i = 0; i < 2; i++) await patient.chat.completions.create({ model, messages });
        });
    },
    async "openai: a cut stream is an error and not kept"() {
        const messages = user(fresh("fail=cut fail_at=4 times=1"));
        await assert.rejects(listen("miss", { messages }), (error) => !(error instanceof assert.AssertionError));
        await listen("miss", { messages });
        await listen("hit", { messages });
    },
    async "openai: twenty at once are one call"() {
        const messages = user(fresh("latency_ms=300"));
        const one = async () => (await client.chat.completions.create({ model, messages })).id;
        const ids = await provider(1, 20, () => Promise.all(Array.from({ length: 20 }, one)));
        assert.equal(new Set(ids).size, direct ? 20 : 1);
    },
    async "ai: text, plain then streamed"() {
        const prompt = fresh();
        await provider(1, 2, async () => {
            const plain = await generateText({ model: vercel.chat(model), prompt, maxRetries: 0 });
            const stream = streamText({ model: vercel.chat(model), prompt, maxRetries: 0 });
            same(plain.text, await stream.text);
        });
    },
    async "ai: object twice"() {
        const prompt = fresh();
        const make = async () =>
            (await generateObject({ model: vercel.chat(model), schema: Person, prompt, maxRetries: 0 })).object;
        const people = await provider(1, 2, async () => [await make(), await make()]);
        Person.parse(people[0]);
        same(...people);
    },
    async "ai: embeddings"() {
        const values = [fresh(), fresh()];
        const embed = () => embedMany({ model: vercel.textEmbeddingModel("text-embedding-3-small"), values });
        const made = await provider(1, 2, async () => [await embed(), await embed()]);
        assert.deepEqual(made[1].embeddings, made[0].embeddings);
    },
};

let failed = 0;
for (const [name, work] of Object.entries(cases)) {
    try {
        await work();
        console.log(`ok    ${name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAIL  ${name}\n${error.stack}`);
    }
}
console.log(`node: ${Object.keys(cases).length - failed} of ${Object.keys(cases).length} passed`);
process.exitCode = failed ? 1 : 0;
