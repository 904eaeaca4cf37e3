-- Writes what became of an item and ends its lease. Where Redis has lost the order, all of it is rebuilt.
--
-- KEYS  1 the order, 2 the item
-- ARGV  1 item id, 2 "fulfill" or "refund", 3 refund number, 4 fence, 5 state ("wait", "done", "dead"),
--       6 generation, 7 attempts, 8 waits, 9 first, 10 due, 11 message id,
--       12 id and 13 generation of the message that started the generation ("" = the order itself),
--       14 lines, 15 decision, 16 message (not of "done"), 17 "1" = an unfinished line's effect may be there,
--       18 how long a finished order is kept, in ms, 19 its event's sequence, then of each line: id, state
--       ("" = unfinished), blob
-- Reply: "OK" or "FENCED"

local call, try = redis.call, redis.pcall
local order_key, item_key = KEYS[1], KEYS[2]
local item_id, refund, refund_number, fence, state = ARGV[1], ARGV[2] == 'refund', ARGV[3], ARGV[4], ARGV[5]
local maybe, keep_ms = ARGV[17] == '1', ARGV[18]
local FIRST_LINE, LINE_WORDS = 20, 3
local line_prefix = refund and ('rline:' .. refund_number .. ':') or 'line:'

-- ---- what is stored ----

local function not_ours(key, reply)
    return redis.error_reply('WRONGTYPE ' .. key .. ' is not ours: ' .. reply.err)
end

local order = {}
local stored = try('HGETALL', order_key)
if stored.err then
    return not_ours(order_key, stored)
end
for i = 1, #stored, 2 do
    order[stored[i]] = stored[i + 1]
end
local item = try('HMGET', item_key, 'state', 'lines_gen', 'crashes', 'doubtful')
if item.err then
    return not_ours(item_key, item)
end
local known, recorded_before, doubted = item[1], item[2], item[3] or item[4]

if order.fence and order.fence ~= fence then
    return 'FENCED'
end
if not order.fence and known then
    -- Half of it was evicted. What is left must not go back.
    local gen, att = tonumber(ARGV[6]), tonumber(ARGV[7])
    local left = call('HMGET', item_key, 'gen', 'att')
    local left_gen, left_att = tonumber(left[1] or '') or 0, tonumber(left[2] or '') or 0
    if left_gen > gen or (left_gen == gen and left_att > att) then
        return 'FENCED'
    end
end

-- ---- the order ----

-- What is there already is not written again.
local set = {}
local function set_order(field, value)
    if order[field] == value then
        return
    end
    order[field] = value
    set[#set + 1] = field
    set[#set + 1] = value
    if #set >= 1000 then -- well below what unpack() can bear
        call('HSET', order_key, unpack(set))
        set = {}
    end
end

for at = FIRST_LINE, #ARGV, LINE_WORDS do
    local id, finished = ARGV[at], ARGV[at + 1]
    local field, doubt = line_prefix .. id, 'maybe:' .. id
    if (order[field] or '') == '' then
        set_order(field, finished .. ARGV[at + 2]) -- the first result stays
    end
    if not refund then
        -- A line that a refund overtook keeps its doubt: the refund has to look.
        if finished == 'C' or (finished == '' and not maybe) then
            if order[doubt] then
                set_order(doubt, '')
            end
        elseif finished == '' then
            set_order(doubt, item_id)
        end
    elseif not order['refunded:' .. id] then
        set_order('refunded:' .. id, refund_number)
    end
end

set_order('fence', fence)
set_order('seq', string.format('%.0f', math.max(tonumber(order.seq or '') or 0, tonumber(ARGV[19]))))
set_order('item:' .. item_id, refund and ('refund ' .. refund_number) or 'fulfill')
set_order('lease_until', '0')

-- ---- the item ----

call('HSET', item_key, 'state', state, 'gen', ARGV[6], 'att', ARGV[7], 'first', ARGV[9], 'lines', ARGV[14],
     'lines_gen', ARGV[6], 'decision', ARGV[15])
if not known then
    call('HSET', item_key, 'waits', ARGV[8], 'mid', ARGV[11], 'start_id', ARGV[12], 'start_gen', ARGV[13],
         'start_seq', ARGV[12] ~= '' and fence or '0')
end
if state ~= 'done' then
    call('HSET', item_key, 'waits', ARGV[8], 'due', state == 'wait' and ARGV[10] or '0', 'crashes', '0',
         'doubtful', '0', 'marked', '0', 'maybe', maybe and '1' or '0', 'msg', ARGV[16])
elseif recorded_before or doubted then
    -- Nobody asks for these of an item that is done; one that is done at the first try has none of them.
    call('HSET', item_key, 'waits', ARGV[8])
    call('HDEL', item_key, 'due', 'crashes', 'doubtful', 'marked', 'maybe', 'msg')
end

-- ---- how long all of it is kept ----

local complete = true
local items = {}
for field, value in pairs(order) do
    local kind = string.sub(field, 1, 5)
    if kind == 'item:' then
        items[#items + 1] = order_key .. ':' .. field
    elseif value == '' and (kind == 'line:' or kind == 'rline') then
        complete = false
    end
end
local was_ending = order.ending == '1'
if complete ~= was_ending then
    set_order('ending', complete and '1' or '0')
end
if #set > 0 then
    call('HSET', order_key, unpack(set))
end
if complete then
    for _, key in ipairs(items) do
        call('PEXPIRE', key, keep_ms)
    end
    call('PEXPIRE', order_key, keep_ms)
elseif was_ending then
    for _, key in ipairs(items) do
        call('PERSIST', key)
    end
    call('PERSIST', order_key)
end
return 'OK'
