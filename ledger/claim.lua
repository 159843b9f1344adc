-- claim: become the one collector of a job's results, or stay so. It begins with collectable.lua.
--
-- ARGV[3] ms that the claim lasts
--
-- Answers {} for yes.
redis.call('HSET', lock, 'owner', owner, 'place', place)
redis.call('PEXPIRE', lock, ARGV[3])
return {}
