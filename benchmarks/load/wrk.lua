-- Sends the requests of a file, one after the other, and says what came of it in JSON.
local requests = {}
local next_request = 0
local think_ms = 0

function init(args)
  local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
  think_ms = tonumber(os.getenv("BENCH_THINK_MS"))
  while true do
    local head = file:read(4)
    if not head then break end
    local a, b, c, d = head:byte(1, 4)
    requests[#requests + 1] = file:read(a + 256 * (b + 256 * (c + 256 * d)))
  end
  file:close()
  next_request = tonumber(os.getenv("BENCH_SKIP"))
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

local governor = os.getenv("BENCH_GOVERNOR")
local calls, is_held = 0, false

local function look()
  local file = io.open(governor, "rb")
  is_held = file ~= nil
  if file then file:close() end
end

-- Holds requests back while the file of the governor exists; else pauses around the
-- mean, so that connections do not march in step.
if governor ~= "" or tonumber(os.getenv("BENCH_THINK_MS")) > 0 then
  function delay()
    calls = calls + 1
    if governor ~= "" and (is_held or calls % 16 == 0) then look() end
    if is_held then return 20 end
    return think_ms > 0 and math.random(0, 2 * think_ms) or 0
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nBENCH {"requests": %d, "microseconds": %d, "statuses": %d, "broken": %d, ' ..
    '"p50_us": %d, "p99_us": %d, "p999_us": %d, "max_us": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
