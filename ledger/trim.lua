-- trim: remove results that are stored, and note for good where they went. It begins with collectable.lua.
--
-- KEYS[3] results   stream
-- ARGV[3] the id of the first entry that stays
--
-- Answers {} for yes.
-- First what gives memory back: a server that has none left then lets the rest pass.
redis.call('XTRIM', KEYS[3], 'MINID', '=', ARGV[3])
redis.call('HSET', kept, 'owner', owner, 'place', place)
return {}
