-- collectable: may this collector take the job's results? The beginning of claim.lua and trim.lua.
--
-- KEYS[1] collector   hash   owner, place: who is collecting, and where to; it expires
-- KEYS[2] collected   hash   owner, place: where the results that were taken so far went; it stays
-- ARGV[1] owner   ARGV[2] place
--
-- Answers {which rule refuses, the place that it protects}: "held" while another owner holds the claim, "collected"
-- when results were taken both by another owner and to another place.
local lock, kept, owner, place = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local holder = redis.call('HMGET', lock, 'owner', 'place')
if holder[1] and holder[1] ~= owner then return {'held', holder[2]} end
local before = redis.call('HMGET', kept, 'owner', 'place')
if before[1] and before[1] ~= owner and before[2] ~= place then return {'collected', before[2]} end
