-- Marks that the copy which carries the item's recorded next step is confirmed by the broker, so that older
-- copies may be acked in silence.
--
-- KEYS  1 the order (unused: a command goes to the node of its first key), 2 the item
-- ARGV  1 generation, 2 attempts, 3 waits: the step that is meant
-- Reply: "OK", also where the item has gone on in between

local item_key = KEYS[2]
local stored = redis.pcall('HMGET', item_key, 'gen', 'att', 'waits', 'state')
if stored.err then
    return redis.error_reply('WRONGTYPE ' .. item_key .. ' is not ours: ' .. stored.err)
end
local gen, att, waits = stored[1] or '0', stored[2] or '0', stored[3] or '0'
if gen == ARGV[1] and att == ARGV[2] and waits == ARGV[3] and stored[4] ~= 'done' then
    redis.call('HSET', item_key, 'marked', '1')
end
return 'OK'
