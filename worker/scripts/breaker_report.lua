-- Tells an upstream's breaker how one line did.
-- KEYS[1]  the upstream's hash
-- ARGV     1 good, bad, pause (the credentials do not work), wait (Retry-After) or none (nothing was learned)
--          2 '1' when the line was the probe      3 failures in a row that open it
--          4 open_for   5 max_open_for   6 Retry-After, capped; all in milliseconds
--          7 words: what an operator should mend   8 '1' when the answer was bad as such (a 503 that says wait)
-- returns  1 when a failure may cost an attempt, else 0; then as breaker_state
local kind, probe = ARGV[1], ARGV[2] == '1'
local limit, open_for, max_open_for = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local row = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'opens', 'probe_until', 'pause_until', 'words')
local failures, open_until, opens = tonumber(row[1] or 0), tonumber(row[2] or 0), tonumber(row[3] or 0)
local probe_until, pause_until, words = tonumber(row[4] or 0), tonumber(row[5] or 0), row[6] or ''
local open = open_until > 0
local costs = 1

local function open_now()
    local factor = math.min(opens, 30)
    open_until = now + math.min(max_open_for, open_for * 2 ^ factor)
    opens = opens + 1
    probe_until = 0
    words = ARGV[7]
end

local failed = kind == 'bad' or kind == 'pause' or (kind == 'wait' and ARGV[8] == '1')
if open or kind == 'pause' or kind == 'wait' then
    costs = 0
end
if kind == 'wait' then
    pause_until = math.max(pause_until, now + tonumber(ARGV[6]))
end
if failed then
    if open then
        if probe then
            open_now()
        end
    elseif kind ~= 'wait' then
        failures = failures + 1
        if kind == 'pause' or failures >= limit then
            open_now()
        end
    end
elseif kind == 'none' then
    if probe then
        probe_until = 0
    end
elseif probe or not open then
    -- A late answer of a line that was under way when the breaker opened closes nothing.
    failures, open_until, opens, probe_until, words = 0, 0, 0, 0, ''
end
redis.call('HSET', KEYS[1], 'failures', failures, 'open_until', open_until, 'opens', opens,
           'probe_until', probe_until, 'pause_until', pause_until, 'words', words)
redis.call('PEXPIRE', KEYS[1], 86400000 + max_open_for)
return {costs, now, failures, open_until, opens, probe_until, pause_until, words}
