-- set_state: a job gets a state. One that is complete keeps its own, and one whose every task is settled is complete:
-- it may settle its last task in this moment, or have settled it at rest.
--
-- KEYS[1] job   KEYS[2] todo   (as in admit.lua)
-- ARGV[1] state   ARGV[2] note; empty for none
local job = KEYS[1]
local j = redis.call('HMGET', job, 'state', 'cursor', 'units', 'last_at')
if j[1] == 'complete' then return end
if ARGV[1] ~= 'cancelled' and j[2] and j[2] == j[3] and redis.call('HLEN', KEYS[2]) == 0 then
  redis.call('HSET', job, 'state', 'complete', 'ended_at', j[4])
else
  redis.call('HSET', job, 'state', ARGV[1])
end
if ARGV[2] == '' then redis.call('HDEL', job, 'note') else redis.call('HSET', job, 'note', ARGV[2]) end
