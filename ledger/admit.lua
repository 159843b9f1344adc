-- admit: may this example's call be made now? All is checked, then all or nothing is taken, in one step.
-- Time is the server's. Money is in whole nano-dollars, tokens and requests are the provider's units.
--
-- KEYS[1] job            hash    state, model, budget, spent, reserved, unknown, price_in, price_out, attempts, …
-- KEYS[2] todo           hash    unit -> "<prompt bytes> <max tokens> <recipe> <json>"; a unit that is settled is gone
-- KEYS[3] leases         hash    unit -> "<token> <worker> <expected tokens> <reserved> <at us> <attempt> <recipe> <max tokens>"
-- KEYS[4] model          hash    rpm, tpm, concurrent (limits; absent = none), counting, factor, requests, tokens
--                                (bucket levels), at (us of the levels), pause (us), in_flight
-- KEYS[5] worker leases  set     "<job> <unit>" of this worker
-- KEYS[6] tries          hash    unit -> attempts so far
-- KEYS[7] lost           hash    unit -> leases lost with their worker
-- KEYS[8] unknown        hash    token -> nano-dollars reserved for a call whose answer never came
-- KEYS[9] workers        set     every worker that has joined and not left
-- KEYS[10] worker        string  exists while the worker lives (its heartbeat)
-- ARGV[1] unit   ARGV[2] token of this attempt   ARGV[3] worker   ARGV[4] job   ARGV[5] learned-key prefix
-- ARGV[6] ms that a heartbeat lasts
--
-- Answers {"go", json, attempt, lease expected tokens, max tokens} | {"wait", ms, what binds} | {"drop", why}
local job, todo, leases, model = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local unit, token, worker = ARGV[1], ARGV[2], ARGV[3]

local POISON = 3            -- leases lost with their worker before an example counts as what kills it
local BURST = 0.5           -- seconds of burst: r = L/(60 + BURST) breaks no 60-second window of L
local COLD_RATIO = 0.3      -- prompt tokens per byte before any call was seen
local MARGIN = 1.25         -- over the learned 99th percentile of completion tokens
local RECOVERY = 0.004      -- share of the limit regained per second after a cut

local kept = redis.call('HGET', KEYS[8], token)
if kept then
  -- The lease was taken back before its grant reached the worker, which asks again: no call was made.
  redis.call('HDEL', KEYS[8], token)
  redis.call('HINCRBY', job, 'unknown', string.format('%d', -tonumber(kept)))
end

local item = redis.call('HGET', todo, unit)
if not item then return {'drop', 'settled'} end

local held = redis.call('HGET', leases, unit)
if held then
  -- Our own answer was lost on the way: give it again.
  local t, _, expected, _, _, attempt, _, cap = string.match(held, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)')
  if t ~= token then return {'drop', 'leased'} end
  return {'go', string.match(item, '^%d+ %d+ %S+ (.*)$'), attempt, expected, cap}
end

local j = redis.call('HMGET', job, 'state', 'budget', 'spent', 'reserved', 'unknown', 'price_in', 'price_out')
if not j[1] then return {'drop', 'gone'} end
if j[1] ~= 'running' then return {'drop', j[1]} end
if tonumber(redis.call('HGET', KEYS[7], unit) or 0) >= POISON then return {'drop', 'poison'} end

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local bytes, cap, recipe, json = string.match(item, '^(%d+) (%d+) (%S+) (.*)$')
bytes, cap = tonumber(bytes), tonumber(cap)

local m = redis.call('HMGET', model, 'rpm', 'tpm', 'concurrent', 'counting', 'factor', 'requests', 'tokens', 'at', 'pause', 'in_flight')
local rpm, tpm, concurrent = tonumber(m[1]), tonumber(m[2]), tonumber(m[3])
local pause, in_flight = tonumber(m[9] or 0), tonumber(m[10] or 0)

if pause > now then return {'wait', math.ceil((pause - now) / 1000), 'pause'} end
if concurrent and in_flight >= concurrent then return {'wait', 50, 'concurrent'} end

-- What the call will probably use, as this provider counts.
local l = redis.call('HMGET', ARGV[5] .. recipe, 'ratio', 'completion', 'p99')
local prompt = bytes * tonumber(l[1] or COLD_RATIO)
-- A provider that takes max_tokens at admission leaves the limit unused by what we ask for and do not need: so we
-- ask for what 99 of 100 calls need, and a margin. A second attempt may follow an answer that was cut: all of it.
if m[4] == 'reserved' and l[3] and redis.call('HEXISTS', KEYS[6], unit) == 0 then
  cap = math.min(cap, math.ceil(MARGIN * tonumber(l[3])))
end
local completion = m[4] == 'reserved' and cap or math.min(cap, tonumber(l[2] or cap / 4))
-- Where there is no limit nothing is taken, so that a limit set meanwhile is given nothing back.
local expected = tpm and math.ceil(prompt + completion) or 0

-- The buckets: levels as stored, refilled for the time since. They start nearly empty and fill to a short burst.
local at = tonumber(m[8] or now)
local dt = math.max(0, now - at) / 1000000
-- A pause proves nothing about the limit: only the time of use since then wins back what a 429 cut.
local factor = math.min(1, tonumber(m[5] or 1) + RECOVERY * math.max(0, now - math.max(at, pause)) / 1000000)
local function refilled(level, limit, least)
  local burst = math.max(limit * BURST / (60 + BURST), least)
  local rate = math.max(limit - burst, limit / 2) / 60 * factor
  level = tonumber(level or least)
  if level < burst then level = math.min(burst, level + rate * dt) end
  return level, rate
end
local requests, tokens = 0, 0
local wait, binds = 0, nil
if rpm then
  local rate
  requests, rate = refilled(m[6], rpm, 1)
  if requests < 1 then wait, binds = (1 - requests) / rate, 'requests' end
end
if tpm then
  local rate
  tokens, rate = refilled(m[7], tpm, expected)
  local short = (expected - tokens) / rate
  if short > wait then wait, binds = short, 'tokens' end
end
if wait > 0 then return {'wait', math.max(1, math.ceil(wait * 1000)), binds} end

-- The budget: what is spent, what may still be spent by calls in flight, and the most this call can cost.
local worst = bytes * tonumber(j[6] or 0) + cap * tonumber(j[7] or 0)
local reserved = tonumber(j[4] or 0)
if j[2] and tonumber(j[3] or 0) + tonumber(j[5] or 0) + reserved + worst > tonumber(j[2]) then
  -- Calls in flight usually cost less than their reservation, so room may come back when they settle.
  if reserved > 0 then return {'wait', 100, 'budget'} end
  redis.call('HSET', job, 'state', 'budget')
  return {'drop', 'budget'}
end

-- Take.
local attempt = redis.call('HINCRBY', KEYS[6], unit, 1)
local stamp = string.format('%d', now)
redis.call('HSET', leases, unit, table.concat({token, worker, expected, string.format('%d', worst), stamp, attempt, recipe, cap}, ' '))
redis.call('SADD', KEYS[5], ARGV[4] .. ' ' .. unit)
if redis.call('SADD', KEYS[9], worker) == 1 then
  -- Whoever holds a lease is missed when it is gone, even if it never came to its first heartbeat.
  redis.call('SET', KEYS[10], 'alive', 'PX', ARGV[6])
end
redis.call('HINCRBY', job, 'reserved', string.format('%d', worst))
redis.call('HSETNX', job, 'first_at', stamp)
redis.call('HSET', model, 'at', stamp, 'factor', tostring(factor),
  'requests', tostring(requests - 1), 'tokens', tostring(tokens - expected))
redis.call('HINCRBY', model, 'in_flight', 1)
return {'go', json, tostring(attempt), tostring(expected), tostring(cap)}
