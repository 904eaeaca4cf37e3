-- What is known of an upstream. All times in milliseconds of Redis' clock; 0 = none.
-- KEYS[1]  the upstream's hash
-- returns  now, failures in a row, open_until, opens, probe_until, pause_until, words
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local row = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'opens', 'probe_until', 'pause_until', 'words')
return {now, tonumber(row[1] or 0), tonumber(row[2] or 0), tonumber(row[3] or 0), tonumber(row[4] or 0),
        tonumber(row[5] or 0), row[6] or ''}
