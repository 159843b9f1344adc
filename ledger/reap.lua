-- reap: a worker is gone. Its leases end: slots are free again, what its calls may have cost stays charged as
-- unknown until an answer to them turns up, and its examples are named so that they can be enqueued again.
--
-- KEYS[1] workers        set     every worker that has joined and not left
-- KEYS[2] worker         string  exists while the worker lives (its heartbeat)
-- KEYS[3] worker leases  set     "<job> <unit>"
-- ARGV[1] worker   ARGV[2] key prefix   ARGV[3] "now" to end a worker whose heartbeat has not run out yet
-- ARGV[4] the time, ISO 8601, for the attempts' records
--
-- Answers a list of "<job> <unit>" whose leases ended; nothing where the worker lives.
if ARGV[3] ~= 'now' and redis.call('EXISTS', KEYS[2]) == 1 then return {} end
local fleet = ARGV[2] .. 'budget'
open_books(fleet)
local ended = {}
for _, example in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  local id, unit = string.match(example, '^(%S+) (%S+)$')
  local job = ARGV[2] .. 'job:' .. id
  local leases = job .. ':leases'
  local lease = read_lease(redis.call('HGET', leases, unit))
  if lease.worker == ARGV[1] then
    local name = redis.call('HGET', job, 'model')
    local of_job, of_model, of_fleet = {}, {}, {}
    end_lease(lease, unit, leases, KEYS[3], id, of_job, of_model, of_fleet)
    of_job.unknown, of_fleet.unknown, of_job.attempts = tonumber(lease.reserved), tonumber(lease.reserved), 1
    add(job, of_job)
    add(ARGV[2] .. 'model:' .. name, of_model)
    add(fleet, of_fleet)
    redis.call('HSET', job .. ':unknown', lease.token, lease.reserved .. ' ' .. day)
    redis.call('HINCRBY', job .. ':lost', unit, 1)
    redis.call('HINCRBY', job .. ':reasons', 'again:worker_lost', 1)
    redis.call('XADD', job .. ':results', '*', 'examples', '[]', 'attempt', cjson.encode({
      job = id, unit = tonumber(unit), attempt = tonumber(lease.attempt), outcome = 'unknown', reason = 'worker_lost',
      at = ARGV[4], recipe = lease.recipe, model = name, worker = lease.worker, cost_source = 'unknown',
      prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0}))
    ended[#ended + 1] = example
  end
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[3] .. ':alone', KEYS[2] .. ':waiting')
redis.call('SREM', KEYS[1], ARGV[1])
return ended
