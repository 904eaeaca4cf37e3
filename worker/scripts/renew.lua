-- Prolongs a lease. Where Redis has lost the order, the lease is put back.
--
-- KEYS  1 the order
-- ARGV  1 item id, 2 fence, 3 lease in ms, 4 owner
-- Reply: "OK" or "FENCED"

local order_key = KEYS[1]
local item_id, fence, lease_ms, owner = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local stored = redis.pcall('HMGET', order_key, 'fence', 'lease_until')
if stored.err then
    return redis.error_reply('WRONGTYPE ' .. order_key .. ' is not ours: ' .. stored.err)
end
if stored[1] and stored[1] ~= fence then
    return 'FENCED'
end
if stored[1] and stored[2] == '0' then
    return 'OK' -- recorded or given back already: an answer of ours was lost on the way
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lease_until = string.format('%.0f', now + lease_ms)
if stored[1] then
    redis.call('HSET', order_key, 'lease_until', lease_until)
else
    redis.call('HSET', order_key, 'fence', fence, 'lease_until', lease_until, 'lease_item', item_id,
               'lease_owner', owner)
end
return 'OK'
