-- Writes what became of an item and ends its lease. Where Redis has lost the order, all of it is rebuilt.
--
-- KEYS  1 the order, 2 the item
-- ARGV  1 item id, 2 "fulfill" or "refund", 3 refund number, 4 fence, 5 state ("wait", "done", "dead"),
--       6 generation, 7 attempts, 8 waits, 9 first, 10 due, 11 message id,
--       12 id and 13 generation of the message that started the generation ("" = the order itself),
--       14 lines, 15 decision, 16 message, 17 "1" = an unfinished line's effect may be there,
--       18 how long a finished order is kept, in ms, 19 its event's sequence, 20 how many lines, then of
--       each: id, state ("" = unfinished), blob
-- Reply: "OK" or "FENCED"

local order_key, item_key = KEYS[1], KEYS[2]
local item_id, refund, refund_number, fence, state = ARGV[1], ARGV[2] == 'refund', ARGV[3], ARGV[4], ARGV[5]
local gen, att = tonumber(ARGV[6]), tonumber(ARGV[7])
local maybe, keep_ms, line_count = ARGV[17] == '1', ARGV[18], tonumber(ARGV[20])

local order = {}
local stored = redis.pcall('HGETALL', order_key)
if stored.err then
    return redis.error_reply('WRONGTYPE ' .. order_key .. ' is not ours: ' .. stored.err)
end
for i = 1, #stored, 2 do
    order[stored[i]] = stored[i + 1]
end
local item = redis.pcall('HMGET', item_key, 'state', 'gen', 'att', 'lines_gen')
if item.err then
    return redis.error_reply('WRONGTYPE ' .. item_key .. ' is not ours: ' .. item.err)
end

if order.fence and order.fence ~= fence then
    return 'FENCED'
end
if not order.fence and item[1] then
    -- Half of it was evicted. What is left must not go back.
    local stored_gen, stored_att = tonumber(item[2] or '') or 0, tonumber(item[3] or '') or 0
    if stored_gen > gen or (stored_gen == gen and stored_att > att) then
        return 'FENCED'
    end
end

-- ---- the order ----

local set = {}
local function set_order(field, value)
    order[field] = value
    set[#set + 1] = field
    set[#set + 1] = value
    if #set >= 1000 then -- well below what unpack() can bear
        redis.call('HSET', order_key, unpack(set))
        set = {}
    end
end

local line_prefix = refund and ('rline:' .. refund_number .. ':') or 'line:'
for i = 1, line_count do
    local at = 21 + (i - 1) * 3
    local id, finished, blob = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    local field, doubt = line_prefix .. id, 'maybe:' .. id
    if (order[field] or '') == '' then
        set_order(field, finished .. blob) -- the first result stays
    end
    if not refund then
        -- A line that a refund overtook keeps its doubt: the refund has to look.
        if finished == 'C' or (finished == '' and not maybe) then
            if (order[doubt] or '') ~= '' then
                set_order(doubt, '')
            end
        elseif finished == '' then
            set_order(doubt, item_id)
        end
    elseif not order['refunded:' .. id] then
        set_order('refunded:' .. id, refund_number)
    end
end

set_order('item:' .. item_id, refund and ('refund ' .. refund_number) or 'fulfill')
set_order('fence', fence)
set_order('seq', string.format('%.0f', math.max(tonumber(order.seq or '') or 0, tonumber(ARGV[19]))))
set_order('lease_until', '0')

-- ---- the item ----

redis.call('HSET', item_key, 'state', state, 'gen', ARGV[6], 'att', ARGV[7], 'waits', ARGV[8], 'first', ARGV[9],
           'due', state == 'wait' and ARGV[10] or '0', 'crashes', '0', 'doubtful', '0', 'marked', '0',
           'maybe', maybe and '1' or '0', 'lines', ARGV[14], 'lines_gen', ARGV[6], 'decision', ARGV[15])
if not item[1] then
    redis.call('HSET', item_key, 'mid', ARGV[11], 'start_id', ARGV[12], 'start_gen', ARGV[13],
               'start_seq', ARGV[12] ~= '' and fence or '0')
end
if state ~= 'done' then
    redis.call('HSET', item_key, 'msg', ARGV[16])
elseif item[4] then
    redis.call('HDEL', item_key, 'msg') -- of an earlier record
end

-- ---- how long all of it is kept ----

local complete = true
for field, value in pairs(order) do
    if value == '' and (string.sub(field, 1, 5) == 'line:' or string.sub(field, 1, 6) == 'rline:') then
        complete = false
        break
    end
end
local was_ending = order.ending == '1'
if complete ~= was_ending then
    set_order('ending', complete and '1' or '0')
end
if #set > 0 then
    redis.call('HSET', order_key, unpack(set))
end
if complete or was_ending then
    for field in pairs(order) do
        if string.sub(field, 1, 5) == 'item:' then
            local key = order_key .. ':' .. field
            if complete then
                redis.call('PEXPIRE', key, keep_ms)
            else
                redis.call('PERSIST', key)
            end
        end
    end
    if complete then
        redis.call('PEXPIRE', order_key, keep_ms)
    else
        redis.call('PERSIST', order_key)
    end
end
return 'OK'
