-- claim: become the one collector of a job's results, or stay so. It begins with collectable.lua.
--
-- ARGV[3] ms that the claim lasts
--
-- Answers {} for yes.
-- First what takes no memory: a server that has none left then lets the rest pass, and collecting gives it room.
redis.call('PEXPIRE', lock, ARGV[3])
redis.call('HSET', lock, 'owner', owner, 'place', place)
redis.call('PEXPIRE', lock, ARGV[3])
return {}
