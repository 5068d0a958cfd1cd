-- The load: one chat completion with a 1 KiB prompt, the same each time or (PROMPTS=unique) new
-- each time. Prints one line that common.sh reads.
local unique = os.getenv("PROMPTS") == "unique"
local count = tonumber(os.getenv("COUNT") or "0")
local pause = tonumber(os.getenv("DELAY_MS") or "0")
local salt = os.getenv("SALT") or "salt"
local filler = string.rep("what is kept need not be asked for twice ", 25):sub(1, 980)
local asked, heard = 0, 0

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("FGY_BOOTSTRAP_KEY") or "none")
wrk.headers["X-Provider-Auth"] = "Bearer test"

local function body(prompt)
    return '{"model":"gpt-4o","messages":[{"role":"user","content":"' .. prompt .. '"}]}'
end

local same

function init()
    wrk.body = body(string.format("%-44s", salt) .. filler)
    same = wrk.format()
end

function request()
    if not unique then return same end
    asked = asked + 1
    return wrk.format(nil, nil, nil, body(string.format("%-33s %010d", salt, asked) .. filler))
end

if pause > 0 then
    function delay() return pause end
end

if count > 0 then
    function response()
        heard = heard + 1
        if heard >= count then wrk.thread:stop() end
    end
end

function done(summary, latency)
    local e = summary.errors
    local errors = e.connect + e.read + e.write + e.status + e.timeout
    io.write(string.format("result %.0f %d %d %d\n", summary.requests / summary.duration * 1e6,
        latency:percentile(50), latency:percentile(99), errors))
end
