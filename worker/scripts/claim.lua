-- Claims an order for one copy of one of its work items, or says why the copy is not to be run.
--
-- KEYS  1 the order, 2 the item (both of one hash tag)
-- ARGV  1 item id, 2 "fulfill" or "refund", 3 refund number, 4 lease in ms, 5 owner, 6 message id,
--       7 how many lines, then the id of each. The owner tells this claim from all others.
--       A copy that has been nowhere ends here. Else, behind the ids: generation, attempts, first, due (of the
--       copy's headers; 0 = none), a person's word ("", "dead" or "resubmit"), "1" redelivered, deliveries,
--       "1" in solo, id of the message that was the word; then of each line what the copy's header says: state
--       ("" = unfinished), blob
-- Reply: see ledger_reply.c.
--
-- The order of questions matters: a copy that is out of date must learn so even while the order is leased,
-- and a copy that may be the only carrier of its item must never be told that it is out of date.

local call, try = redis.call, redis.pcall
local order_key, item_key = KEYS[1], KEYS[2]
local item_id, refund, refund_number = ARGV[1], ARGV[2] == 'refund', ARGV[3]
local lease_ms, owner, message_id = tonumber(ARGV[4]), ARGV[5], ARGV[6]
local FIRST_LINE = 8
local last_line = FIRST_LINE - 1 + tonumber(ARGV[7])
local fresh = #ARGV == last_line

local BUSY_MS = 1000
local SAME_DUE_MS = 1000        -- waits last whole seconds: dues of two steps are further apart than this
local FARTHEST_MS = 262144000   -- the longest wait the retry queues have: no copy of ours is due later than that
local LOST_AFTER_MS = 900000    -- so long after its due, the copy of a waiting item counts as lost
local SUSPECT_CRASHES, FATAL_CRASHES, SUSPECT_DELIVERIES = 3, 6, 10

-- Numbers beyond 10^14 must not become 1e+14.
local function text(number)
    return string.format('%d', number)
end

local time = call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- ---- a new order ----

-- Nothing is known of it, and its copy has been nowhere: what all of the below comes to, for the many. (The
-- longest order has 4,010 words here; unpack() bears 7,999.)
if fresh and not refund and call('EXISTS', order_key, item_key) == 0 then
    local fence = text(now_us)
    local order = {'fence', fence, 'lease_until', text(now + lease_ms), 'lease_item', item_id, 'lease_owner', owner,
                   'item:' .. item_id, 'fulfill'}
    local count = #order
    for i = FIRST_LINE, last_line do
        order[count + 1], order[count + 2] = 'line:' .. ARGV[i], ''
        order[count + 3], order[count + 4] = 'maybe:' .. ARGV[i], 'f' .. fence
        count = count + 4
    end
    call('HSET', order_key, unpack(order))
    call('HSET', item_key, 'state', 'run', 'gen', '1', 'marked', '1', 'mid', message_id)
    return {'RUN', now, 1, 0, now_us, 1}
end

-- ---- what the copy says of itself ----

local function said(place)
    return ARGV[last_line + place] or ''
end
local copy = {generation = tonumber(said(1)) or 0, attempts = tonumber(said(2)) or 0, first = tonumber(said(3)) or 0,
              due = tonumber(said(4)) or 0}
local word, redelivered, deliveries, solo = said(5), said(6) == '1', tonumber(said(7)) or 0, said(8) == '1'
local word_id = said(9)
local FIRST_SAID_LINE = 10

-- Headers are anybody's: none of them puts an order off for years, nor the end of its window.
if copy.due > now + FARTHEST_MS then
    copy.due = 0
end
copy.first = math.min(copy.first, now)

-- ---- what is stored ----

local order = {}
local stored = try('HGETALL', order_key)
if stored.err then
    return redis.error_reply('WRONGTYPE ' .. order_key .. ' is not ours: ' .. stored.err)
end
for i = 1, #stored, 2 do
    order[stored[i]] = stored[i + 1]
end

local item = {}
local function read_item(fields)
    local values = try('HMGET', item_key, unpack(fields))
    for i, field in ipairs(fields) do
        item[field] = values[i] or nil
    end
    return values.err
end
local wrong = read_item({'state', 'gen', 'att', 'waits', 'due', 'first', 'crashes', 'doubtful', 'marked', 'maybe', 'mid',
                         'lines_gen'})
if wrong then
    return redis.error_reply('WRONGTYPE ' .. item_key .. ' is not ours: ' .. wrong)
end
if word ~= '' then
    read_item({'start_id', 'start_gen', 'start_seq', 'ignored_id', 'ignored_gen', 'ignored_seq'})
end
local STATES = {run = true, wait = true, done = true, dead = true}
local exists = STATES[item.state or ''] == true

local function count_of(field)
    return tonumber(item[field] or '') or 0
end
local gen, att, waits = count_of('gen'), count_of('att'), count_of('waits')
local due, first, crashes = count_of('due'), count_of('first'), count_of('crashes')
local state, marked, doubtful = item.state, item.marked == '1', item.doubtful == '1'
if not exists then
    state, gen, att, waits, due, first, crashes, marked, doubtful = 'none', 0, 0, 0, 0, 0, 0, false, false
end

-- Changes are collected and written at the end, once.
local order_changes, item_changes = {}, {}

local function set_order(field, value)
    if order[field] ~= value then
        order[field] = value
        order_changes[field] = value
    end
end

local function set_item(field, value)
    item[field] = value
    item_changes[field] = value
end

local function keep(field, number)
    if count_of(field) ~= number then
        set_item(field, text(number))
    end
end

local function write(key, changes)
    local batch = {}
    for field, value in pairs(changes) do
        batch[#batch + 1] = field
        batch[#batch + 1] = value
        if #batch >= 1000 then
            call('HSET', key, unpack(batch))
            batch = {}
        end
    end
    if #batch > 0 then
        call('HSET', key, unpack(batch))
    end
end

-- An event's sequence number: grows for one order, also over a flush, because it follows the clock. The last
-- claim's was its fence, and that of its outcome is one more at least.
local function next_sequence()
    local last = math.max(tonumber(order.seq or '') or 0, (tonumber(order.fence or '') or 0) + 1)
    return math.max(last + 1, now_us)
end

-- ---- the lines ----

local line_prefix = refund and ('rline:' .. refund_number .. ':') or 'line:'
local mine = {}                 -- by id: a line of this item
local ids = {}
local nothing_known = true
for field in pairs(order) do
    if string.sub(field, 1, 5) == 'line:' then
        nothing_known = false
        break
    end
end

-- Redis has nothing of the item, and yet it has been somewhere: an effect may be there.
local has_past = not exists and (copy.generation > 0 or copy.attempts > 0 or copy.due > 0 or redelivered or word ~= '')

for i = FIRST_LINE, last_line do
    local id, field = ARGV[i], line_prefix .. ARGV[i]
    local at = FIRST_SAID_LINE + 2 * (i - FIRST_LINE)
    local finished, blob = said(at), said(at + 1)
    ids[#ids + 1] = id
    mine[id] = true
    if finished ~= '' and (order[field] or '') == '' then
        set_order(field, finished .. blob)
        if finished == 'R' then
            set_order('maybe:' .. id, 'lost') -- of what ran before the refund came, Redis knows nothing any more
        end
    elseif not order[field] then
        set_order(field, '')
        if has_past and not refund then
            set_order('maybe:' .. id, 'lost')
        end
    end
    -- A refund wins from the moment it is seen, also while something else still runs.
    if refund and not order['refunded:' .. id] then
        set_order('refunded:' .. id, refund_number)
    end
end
set_order('item:' .. item_id, refund and ('refund ' .. refund_number) or 'fulfill')

local function all_finished()
    for _, id in ipairs(ids) do
        if (order[line_prefix .. id] or '') == '' then
            return false
        end
    end
    return true
end

local function others_finished()
    for field, value in pairs(order) do
        if string.sub(field, 1, #line_prefix) == line_prefix and value == '' then
            local id = string.sub(field, #line_prefix + 1)
            -- A refund number may contain a colon: only digits behind the prefix are a line of it.
            if not mine[id] and string.match(id, '^-?%d+$') and (refund or not order['refunded:' .. id]) then
                return false
            end
        end
    end
    return true
end

-- ---- the lease ----

local lease_until = tonumber(order.lease_until or '') or 0
local live = lease_until > now
local own = order.lease_item == item_id

-- The very claim that holds the lease: its answer was lost, and nothing has been run under it.
local again = exists and live and own and order.lease_owner == owner
if again then
    live = false
    state = 'wait'
    for _, id in ipairs(ids) do
        if order['maybe:' .. id] == 'f' .. order.fence then
            set_order('maybe:' .. id, '')
        end
    end
end

local running = own and live
local crashed = not running and not again and (state == 'run' or (own and lease_until > 0))
if crashed then
    crashes = crashes + 1
    doubtful = true
    if own then
        set_order('lease_until', '0')
    end
    if exists then
        state = 'wait'
    end
end

-- ---- answers ----

local started = false
local function finish(verdict, facts, lists)
    -- Of an item that is unknown only a plain copy leaves something behind: itself, waiting.
    if state ~= 'none' then
        if item.state ~= state then
            set_item('state', state)
        end
        keep('gen', gen)
        keep('att', att)
        keep('waits', waits)
        keep('due', due)
        keep('first', first)
        keep('crashes', crashes)
        keep('doubtful', doubtful and 1 or 0)
        keep('marked', marked and 1 or 0)
    end
    write(order_key, order_changes)
    write(item_key, item_changes)
    facts = facts or {}
    lists = lists or {}
    return {verdict, now, gen, att, facts.fence or 0, facts.others_finished and 1 or 0, waits, first,
            doubtful and 1 or 0, started and 1 or 0, started and count_of('start_seq') or 0,
            facts.order_unknown and 1 or 0, facts.lines_current and 1 or 0, facts.wait_ms or 0,
            facts.sequence or 0, lists.finished or {}, lists.refunded or {}, lists.known or {},
            facts.lines or false, facts.decision or false}
end

-- What is known of the item's lines, for an event that tells of them without a run.
local function finish_told(verdict, facts)
    local finished = {}
    for _, id in ipairs(ids) do
        if (order[line_prefix .. id] or '') ~= '' then
            table.insert(finished, id)
            table.insert(finished, string.sub(order[line_prefix .. id], 2))
        end
    end
    facts.others_finished = others_finished()
    facts.lines = call('HGET', item_key, 'lines')
    facts.lines_current = count_of('lines_gen') == gen
    return finish(verdict, facts, {finished = finished})
end

local function finish_stored(verdict)
    local facts = {decision = call('HGET', item_key, 'decision')}
    return started and finish_told(verdict, facts) or finish(verdict, facts)
end

-- A word that was not needed. Told again under the same number. While the item runs, nothing is said of its
-- lines: the outcome will say it.
local function finish_ignored()
    local sequence = count_of('ignored_seq')
    if sequence == 0 or item.ignored_id ~= word_id or count_of('ignored_gen') ~= copy.generation then
        sequence = next_sequence()
        set_order('seq', text(sequence))
        set_item('ignored_id', word_id)
        set_item('ignored_gen', text(copy.generation))
        set_item('ignored_seq', text(sequence))
    end
    local facts = {sequence = sequence}
    return running and finish('IGNORED', facts) or finish_told('IGNORED', facts)
end

local function finish_busy()
    return finish('BUSY', {wait_ms = BUSY_MS})
end

-- The item is lost but its lease is there: its holder put it back, and will record the rest.
if not exists and running then
    return finish_busy()
end

-- ---- a person's word ----

local plain = word == ''        -- to be treated as any copy of the item
local any_age = false           -- it may go on even if it is an old one
if not plain and exists then
    if item.start_id == word_id and count_of('start_gen') == copy.generation then
        -- The very message that started this generation.
        if word == 'resubmit' and state == 'dead' and marked and not redelivered then
            -- Typed again, word for word, after that generation had died. Forgotten, so that it is still
            -- a new word when it comes back from a wait.
            set_item('start_id', '')
        else
            plain, started = true, true
            copy = {generation = gen, attempts = 0, first = 0, due = 0}
        end
    elseif state == 'done' or all_finished() or running then
        return finish_ignored()
    elseif state == 'wait' then
        if not crashed and now < due + LOST_AFTER_MS then
            return finish_ignored()
        end
        plain, any_age = true, true
        copy = {generation = gen, attempts = att, first = first, due = due}
    elseif copy.generation > 0 and copy.generation < gen then
        return finish_ignored() -- an old dead copy; a newer one of the same item is in the dead queue
    end
end

-- ---- a copy ----

-- Puts the item where the copy is: Redis has lost it, or lost its last steps.
local function adopt(generation)
    if copy.first > 0 and (generation ~= gen or first == 0 or copy.first < first) then
        first = copy.first
    elseif generation ~= gen then
        first = 0
    end
    if generation ~= gen then
        waits = 0
    end
    gen, att, due = generation, copy.attempts, copy.due
    state, marked, doubtful = 'wait', true, doubtful or has_past or exists
    set_item('mid', message_id)
end

-- Whether the copy is ahead of what is stored, the same step, or an older one. One header may be missing.
local headerless = (copy.generation == 0 or started) and copy.attempts == 0 and copy.due == 0
local function compare()
    local generation = copy.generation
    if generation == 0 then
        generation = headerless and 1 or gen
    end
    if generation ~= gen then
        return generation > gen and 'ahead' or 'older', generation
    end
    if copy.attempts > att then
        return 'ahead', generation
    end
    if copy.due > 0 and math.abs(copy.due - due) < SAME_DUE_MS then
        return 'same'
    end
    if copy.attempts < att then
        return 'older'
    end
    if copy.due == 0 then
        return (headerless and due > 0) and 'older' or 'same'
    end
    return copy.due > due and 'ahead' or 'older', generation
end

if plain and not exists then
    if crashed then
        has_past = true
    end
    adopt(math.max(1, copy.generation))
end

if plain then
    local age, generation = 'same', nil
    if exists and not any_age then
        age, generation = compare()
    end
    if state == 'done' then
        return finish_stored('DONE')
    end
    if running then
        if age == 'older' and marked then
            return finish('STALE')
        end
        return finish_busy()
    end
    if age == 'ahead' then
        adopt(generation)
        age = 'same'
    end
    if state == 'dead' then
        return finish_stored(marked and 'DONE' or 'REPEAT')
    end
    -- Waiting. Whoever comes when it is due may run it.
    if now < due then
        if age == 'same' then
            marked = true -- the step's own copy is in hand and goes back into the retry queues
            return finish('EARLY', {wait_ms = due - now})
        end
        if not marked then
            return finish_stored('REPEAT')
        end
        -- Perhaps the step's own copy, stripped of its headers on the way: kept until it is due.
        if headerless and not redelivered and item.mid == message_id then
            return finish('EARLY', {wait_ms = due - now})
        end
        return finish('STALE')
    end
    if age == 'same' then
        marked = true
    elseif age == 'older' and not marked then
        return finish_stored('REPEAT') -- the step was never told of; its own copy runs it after that
    end
end

-- ---- may it run now? ----

if live then
    return finish_busy()
end
if not solo and (deliveries >= SUSPECT_DELIVERIES or (plain and crashes >= SUSPECT_CRASHES)) then
    return finish('SOLO')
end

local fence = next_sequence()

if not plain then
    -- A new generation.
    doubtful = not exists or item.maybe == '1'
    if exists then
        gen = math.max(gen, copy.generation) + 1
    else
        gen = copy.generation > 0 and copy.generation + 1 or 1
    end
    for _, id in ipairs(ids) do
        doubtful = doubtful or (not refund and (order['maybe:' .. id] or '') ~= '')
    end
    att, waits, due, first, crashes, marked = 0, 0, 0, 0, 0, false
    started = true
    set_item('start_id', word_id)
    set_item('start_gen', text(copy.generation))
    set_item('start_seq', text(fence))
    set_item('mid', message_id)
elseif started and count_of('start_seq') == 0 then
    set_item('start_seq', text(fence))
end

-- ---- ours ----

state = 'run'
set_order('fence', text(fence))
set_order('lease_until', text(now + lease_ms))
set_order('lease_item', item_id)
set_order('lease_owner', owner)

local lists = {finished = {}, refunded = {}, known = {}}
local run_doubtful = doubtful
for _, id in ipairs(ids) do
    local value = order[line_prefix .. id]
    local maybe = order['maybe:' .. id]
    if maybe == '' then
        maybe = nil
    end
    if value ~= '' then
        table.insert(lists.finished, id)
        table.insert(lists.finished, string.sub(value, 2))
    elseif not refund and order['refunded:' .. id] then
        table.insert(lists.refunded, id)
    elseif not refund then
        -- What another item or a lost one may have done to this line is not in this item's own record.
        run_doubtful = run_doubtful or (maybe ~= nil and maybe ~= item_id)
        if not maybe then
            set_order('maybe:' .. id, 'f' .. text(fence)) -- until the record says better
        end
    end
    if refund then
        local fulfilled = order['line:' .. id]
        local known = '?'
        if fulfilled and string.sub(fulfilled, 1, 1) == 'C' then
            known = '1'
        elseif fulfilled and not maybe then
            known = '0'
        end
        table.insert(lists.known, id)
        table.insert(lists.known, known)
    end
end

if order.ending == '1' then
    set_order('ending', '0')
    call('PERSIST', order_key)
    for field in pairs(order) do
        if string.sub(field, 1, 5) == 'item:' then
            call('PERSIST', order_key .. ':' .. field)
        end
    end
end

local reply = finish((solo and crashes >= FATAL_CRASHES) and 'CRASHED' or 'RUN', {
    fence = fence,
    others_finished = others_finished(),
    order_unknown = refund and nothing_known,
    lines = exists and call('HGET', item_key, 'lines'),
    lines_current = count_of('lines_gen') == gen,
}, lists)
reply[9] = run_doubtful and 1 or 0
return reply
