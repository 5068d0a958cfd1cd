-- The load of deploy/bench/cluster: one chat completion after another from PROMPTS_FILE (a JSON body
-- a line), from its beginning again at its end. Prints one line: rate, p50 and p99 in us, errors.
local requests, asked = {}, 0

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("FGY_KEY")
wrk.headers["X-Provider-Auth"] = "Bearer test"
wrk.headers["X-Fgy-Cache"] = "exact"

function init()
    for body in io.lines(os.getenv("PROMPTS_FILE")) do
        requests[#requests + 1] = wrk.format(nil, nil, nil, body)
    end
end

function request()
    asked = asked % #requests + 1
    return requests[asked]
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format("result %.0f %d %d %d\n", summary.requests / summary.duration * 1e6,
        latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
