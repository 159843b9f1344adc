-- settle: one attempt has ended. Its example is stored and taken off the list in one step, or stays on the list;
-- slot, tokens and money are corrected by what was really used. The same attempt settled again changes nothing.
--
-- An attempt is known by its lease, or by its token in `unknown` where its worker was taken for dead. One that has
-- neither was settled before, unless it is an orphan: admitted in another incarnation of the job, which the broker has
-- lost since, with the lease. An orphan's answer is paid for, so it is settled too, and its token kept: once is enough.
--
-- KEYS[1] job  KEYS[2] todo  KEYS[3] leases  KEYS[4] model  KEYS[5] worker leases  KEYS[6] tries  KEYS[7] lost
--   (as in admit.lua)
-- KEYS[8] unknown   hash    token -> "<nano-dollars> <day>" reserved for a call whose answer never came
-- KEYS[9] rejected  hash    unit -> "<reason> <todo item>", so that it can be tried again
-- KEYS[10] reasons  hash    "<outcome>:<reason>" -> count
-- KEYS[11] results  stream  fields attempt, examples (JSON)
-- KEYS[12] window   KEYS[13] budget   (as in admit.lua)
-- KEYS[14] orphans  set     tokens of orphans that were settled
-- ARGV[1] unit  ARGV[2] token  ARGV[3] job  ARGV[4] learned-key prefix
-- ARGV[5] JSON {outcome: accepted|rejected|again, reason, accepted, rejected, cost (nano-dollars; -1 = not known),
--          prompt_tokens, completion_tokens, cached_tokens, latency (seconds), retry_after_ms (429; 0 = not told),
--          told_rpm, told_tpm (limits that the provider named), stop (state to give the job), note}
-- ARGV[6] attempt (JSON)   ARGV[7] examples (JSON)   ARGV[8] incarnation of the job that admitted it; empty where none
--          did, which only poison may be
--
-- Answers "settled" | "duplicate" (another attempt had settled the example) | "repeat" (this one already had)
--       | "gone" (the broker has lost the job, or it is not yet so far again: ask later)
local job, todo, leases, model, unknown, window, fleet = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[12], KEYS[13]
local unit, token = ARGV[1], ARGV[2]
local s = cjson.decode(ARGV[5])
local state, far, units, incarnation = unpack(redis.call('HMGET', job, 'state', 'cursor', 'units', 'incarnation'))
if not far then return 'gone' end

open_books(fleet)
-- What is to be added to the counters of the job, the model and the fleet.
local of_job, of_model, of_fleet = {}, {}, {}

local lease = read_lease(redis.call('HGET', leases, unit))
local held = lease.token == token

-- A call used something else than was expected: the bucket is corrected, and the minute in which it was admitted.
local function correct(m, requests, tokens)
  local slot = math.floor(tonumber(lease.at) / SLOT)
  if m.tpm and tokens ~= 0 then redis.call('HINCRBYFLOAT', model, 'tokens', -tokens) end
  if not m.tail or slot < tonumber(m.tail) then return end
  add(window, {['t' .. slot] = tokens, ['r' .. slot] = requests})
  of_model.minute_tokens, of_model.minute_requests = tokens, requests
end

if held then
  end_lease(lease, unit, leases, KEYS[5], ARGV[3], of_job, of_model, of_fleet)
  if s.cost < 0 then
    redis.call('HSET', unknown, token, lease.reserved .. ' ' .. day)
    of_job.unknown, of_fleet.unknown = tonumber(lease.reserved), tonumber(lease.reserved)
  end
  local v = redis.call('HMGET', model, 'counting', 'tpm', 'told_tpm', 'tail', 'streak')
  local m = {tpm = v[2] or v[3], tail = v[4]}
  local used = s.prompt_tokens + (v[1] == 'reserved' and tonumber(lease.cap) or s.completion_tokens)
  if s.retry_after_ms then
    correct(m, -1, -tonumber(lease.expected))
  else
    if v[5] then end_streak(model, tonumber(lease.at)) end
    -- A call that failed has probably been counted by the provider: it keeps what was expected of it.
    if s.completion_tokens > 0 then correct(m, 0, used - tonumber(lease.expected)) end
  end
  add(model, of_model)
elseif s.reason == 'poison' then
  -- No call was made: the example is given up for what its earlier calls did to their workers.
  if lease.token or redis.call('HEXISTS', todo, unit) == 0 then return 'repeat' end
else
  if s.cost < 0 then return 'repeat' end
  local kept, orphan = redis.call('HGET', unknown, token), ARGV[8] ~= (incarnation or '')
  if tonumber(far) <= tonumber(unit) then
    -- Whoever brings the job back has not come to this task. In the job's own incarnation that means that the broker
    -- has lost the last of what it held, this admission with it: it is known again by its token, for no money.
    if not orphan and not kept then redis.call('HSET', unknown, token, '0 ' .. day) end
    return 'gone'
  end
  if kept then
    local nano, then_day = string.match(kept, '^(%S+) (%S+)')
    redis.call('HDEL', unknown, token)
    of_job.unknown = -tonumber(nano)
    if then_day == day then of_fleet.unknown = -tonumber(nano) end
  elseif not orphan or redis.call('SADD', KEYS[14], token) == 0 then
    return 'repeat'
  end
end

if s.latency then count_latency(ARGV[4], s.latency) end
of_job.attempts, of_job.spent, of_fleet.spent = 1, math.max(0, s.cost), math.max(0, s.cost)
of_job.prompt_tokens, of_job.completion_tokens = s.prompt_tokens, s.completion_tokens
of_job.cached_tokens = s.cached_tokens
add(fleet, of_fleet)
local item = redis.call('HGET', todo, unit)
if item and held and s.cost > tonumber(lease.reserved) then
  -- The provider asks more than its price says: from now on so much is reserved, unless another call has said so.
  local p = redis.call('HMGET', job, 'price_in', 'price_out')
  local price_in, price_out = math.max(1, tonumber(p[1])), math.max(1, tonumber(p[2]))
  local times = s.cost / (tonumber(string.match(item, '^%d+')) * price_in + tonumber(lease.cap) * price_out)
  if times > 1 then
    redis.call('HSET', job, 'price_in', whole(math.ceil(price_in * times)), 'price_out', whole(math.ceil(price_out * times)))
  end
end

if s.told_rpm then redis.call('HSET', model, 'told_rpm', s.told_rpm) end
if s.told_tpm then redis.call('HSET', model, 'told_tpm', s.told_tpm) end
if s.retry_after_ms and held then learn_refusal(model, window, tonumber(lease.at), s.retry_after_ms) end
if s.stop and state == 'running' then
  state = s.stop
  redis.call('HSET', job, 'state', state, 'note', s.note or '')
end

if item and s.completion_tokens > 0 then
  local bytes, name = string.match(item, '^(%d+) %d+ (%S+)')
  learn_use(ARGV[4] .. name, tonumber(bytes), s, held and tonumber(lease.expected) or nil)
end

if s.outcome == 'again' or not item then
  if s.outcome ~= 'again' then
    of_job.duplicates, of_job.duplicate_spent = 1, math.max(0, s.cost)
    s.reason = 'duplicate'
  end
  add(job, of_job, 'last_at', whole(now))
  redis.call('HINCRBY', KEYS[10], 'again:' .. s.reason, 1)
  redis.call('XADD', KEYS[11], '*', 'attempt', ARGV[6], 'examples', '[]')
  return s.outcome == 'again' and 'settled' or 'duplicate'
end

redis.call('HDEL', todo, unit)
redis.call('HDEL', KEYS[6], unit)
redis.call('HDEL', KEYS[7], unit)
redis.call('XADD', KEYS[11], '*', 'attempt', ARGV[6], 'examples', ARGV[7])
of_job.accepted, of_job.rejected = s.accepted, s.rejected
add(job, of_job, 'last_at', whole(now))
if s.outcome == 'rejected' then
  redis.call('HINCRBY', KEYS[10], 'rejected:' .. s.reason, whole(s.rejected))
  redis.call('HSET', KEYS[9], unit, s.reason .. ' ' .. item)
elseif s.rejected > 0 then
  redis.call('HINCRBY', KEYS[10], 'rejected:invalid', whole(s.rejected))
end
if state ~= 'cancelled' and far == units and redis.call('HLEN', todo) == 0 then
  redis.call('HSET', job, 'state', 'complete', 'ended_at', whole(now))
end
return 'settled'
