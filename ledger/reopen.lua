-- reopen: a rejected task goes back on the job's list, and the job runs again.
--
-- KEYS[1] job   KEYS[2] todo   (as in admit.lua)   KEYS[3] rejected   KEYS[4] reasons   (as in settle.lua)
-- ARGV[1] unit   ARGV[2] reason   ARGV[3] todo item   ARGV[4] examples in it
--
-- Answers 1, or 0 where it was put back before.
local job, unit, reason, item, count = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', KEYS[3], unit) ~= reason .. ' ' .. item then return 0 end
redis.call('HDEL', KEYS[3], unit)
redis.call('HSET', KEYS[2], unit, item)
redis.call('HINCRBY', job, 'rejected', '-' .. count)
redis.call('HINCRBY', KEYS[4], 'rejected:' .. reason, '-' .. count)
redis.call('HSET', job, 'state', 'running')
redis.call('HDEL', job, 'note', 'ended_at')
return 1
