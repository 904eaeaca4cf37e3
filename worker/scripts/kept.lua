-- What a resubmit by order number can do: the kept messages of the order's dead items, and of those whose
-- waiting copy must have been lost.
--
-- KEYS  1 the order
-- ARGV  1 message id of the resubmit
-- Reply: {known, sequence of the event that there is nothing to do (0 otherwise), {message, message id, generation, finished lines, and so on}}

local order_key = KEYS[1]
local LOST_AFTER_MS = 900000    -- as in claim.lua
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

local stored = redis.pcall('HGETALL', order_key)
if stored.err then
    return redis.error_reply('WRONGTYPE ' .. order_key .. ' is not ours: ' .. stored.err)
end
if #stored == 0 then
    return {0, 0, {}}
end
local order = {}
for i = 1, #stored, 2 do
    order[stored[i]] = stored[i + 1]
end

-- Each blob is a JSON array of one row.
local function finished_of(prefix)
    local rows = {}
    for field, value in pairs(order) do
        if value ~= '' and string.sub(field, 1, #prefix) == prefix and
            string.match(string.sub(field, #prefix + 1), '^-?%d+$') then
            rows[#rows + 1] = string.sub(value, 3, -2)
        end
    end
    return '[' .. table.concat(rows, ',') .. ']'
end

local kept = {}
for field, action in pairs(order) do
    if string.sub(field, 1, 5) == 'item:' then
        local item = redis.pcall('HMGET', order_key .. ':' .. field, 'state', 'due', 'msg', 'mid', 'gen')
        local due = not item.err and tonumber(item[2] or '') or 0
        if not item.err and item[3] and
            (item[1] == 'dead' or (item[1] == 'wait' and now >= due + LOST_AFTER_MS)) then
            local number = string.match(action, '^refund (.*)$')
            kept[#kept + 1] = item[3]
            kept[#kept + 1] = item[4] or ''
            kept[#kept + 1] = tonumber(item[5] or '') or 0
            kept[#kept + 1] = finished_of(number and ('rline:' .. number .. ':') or 'line:')
        end
    end
end
if #kept > 0 then
    return {1, 0, kept}
end
-- The event is told again under the same number when the same message comes again.
if order.kept_id ~= ARGV[1] then
    local last = math.max(tonumber(order.seq or '') or 0, (tonumber(order.fence or '') or 0) + 1) -- as in claim.lua
    order.kept_seq = string.format('%.0f', math.max(last + 1, now_us))
    redis.call('HSET', order_key, 'seq', order.kept_seq, 'kept_id', ARGV[1], 'kept_seq', order.kept_seq)
end
return {1, tonumber(order.kept_seq), kept}
