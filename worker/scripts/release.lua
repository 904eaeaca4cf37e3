-- Gives a claim back of which nothing was run. No crash is counted; the item waits as it did before.
--
-- KEYS  1 the order, 2 the item
-- ARGV  1 fence
-- Reply: "OK" or "FENCED"

local order_key, item_key, fence = KEYS[1], KEYS[2], ARGV[1]
local stored = redis.pcall('HGETALL', order_key)
if stored.err then
    return redis.error_reply('WRONGTYPE ' .. order_key .. ' is not ours: ' .. stored.err)
end
local held = nil
local marks = {}
for i = 1, #stored, 2 do
    if stored[i] == 'fence' then
        held = stored[i + 1]
    elseif stored[i + 1] == 'f' .. fence and string.sub(stored[i], 1, 6) == 'maybe:' then
        marks[#marks + 1] = stored[i]
    end
end
if not held then
    return 'OK' -- lost with all the rest
end
if held ~= fence then
    return 'FENCED'
end
local state = redis.pcall('HGET', item_key, 'state')
if type(state) == 'table' and state.err then
    return redis.error_reply('WRONGTYPE ' .. item_key .. ' is not ours: ' .. state.err)
end
if state == 'run' then
    redis.call('HSET', item_key, 'state', 'wait')
end
for _, mark in ipairs(marks) do
    redis.call('HDEL', order_key, mark)
end
redis.call('HSET', order_key, 'lease_until', '0')
return 'OK'
