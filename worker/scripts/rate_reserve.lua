-- Reserves the next slots of an upstream's rate for one process: GCRA with the theoretical arrival time in
-- microseconds of Redis' clock. Nothing is reserved when the first slot is too far away.
-- KEYS[1]  the upstream's rate key
-- ARGV     1 microseconds between two requests   2 slots wanted   3 longest wait   4 tolerance, microseconds
-- returns  microseconds until the first slot (below 0: it is past due), slots given
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
local start = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now - tonumber(ARGV[4]))
local wait = start - now
if wait > tonumber(ARGV[3]) then
    return {wait, 0}
end
local next_start = start + wanted * interval
redis.call('SET', KEYS[1], string.format('%.0f', next_start), 'PX', math.ceil((next_start - now) / 1000) + 1000)
return {wait, wanted}
