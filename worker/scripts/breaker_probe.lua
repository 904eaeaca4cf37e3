-- Asks to be let through an upstream's breaker. Open: no. Past its time: one probe in the whole pool.
-- KEYS[1]  the upstream's hash
-- ARGV[1]  how long a probe may take, milliseconds: then another may try
-- returns  0 closed: go on, 1 go on as the probe, 2 not now; then as breaker_state
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local row = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'opens', 'probe_until', 'pause_until', 'words')
local open_until, probe_until = tonumber(row[2] or 0), tonumber(row[4] or 0)
local pause_until = tonumber(row[5] or 0)
local admission = 0
if open_until > 0 then
    admission = 2
    if now >= open_until and now >= probe_until and now >= pause_until then
        admission = 1
        probe_until = now + tonumber(ARGV[1])
        redis.call('HSET', KEYS[1], 'probe_until', probe_until)
    end
elseif pause_until > now then
    admission = 2
end
return {admission, now, tonumber(row[1] or 0), open_until, tonumber(row[3] or 0), probe_until, pause_until,
        row[6] or ''}
