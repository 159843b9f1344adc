-- admit: may this example's call be made now? All is checked, then all or nothing is taken, in one step.
-- Time is the server's. Money is in whole nano-dollars, tokens and requests are the provider's units.
--
-- A limit of L per minute is kept twice: a bucket of a short burst sets the pace, and the use of the last minute,
-- dated by admission and corrected when calls end, never passes L whatever the calls turn out to use.
--
-- KEYS[1] job            hash    state, model, weight, turn, budget, spent, reserved, unknown, price_in, price_out (the
--                                most that a token can cost), plain_in, plain_out (outside any cache), incarnation
--                                (named anew each time that the ledger comes to know the job), …
-- KEYS[2] todo           hash    unit -> "<prompt bytes> <max tokens> <recipe> <json>"; a unit that is settled is gone
-- KEYS[3] leases         hash    unit -> lease (see common.lua)
-- KEYS[4] model          hash    rpm, tpm, concurrent (limits; absent = none), told_rpm, told_tpm (by the provider),
--                                guess_rpm (learned where there is none), counting; requests, tokens (bucket levels),
--                                at (us of the levels); minute_requests, minute_tokens, tail (see KEYS[11]); in_flight,
--                                doubt (sum of the variances of calls in flight); pause (us), cut (us), factor (share
--                                of the limit after the last cut), share (now), since (calls since the cut); turn;
--                                admitted (calls so far); waited_<what> (ms that lines were told to wait for it); and what refusals.lua keeps
-- KEYS[5] worker leases  set     "<job> <unit>" of this worker; beside it stands `…:alone`, a string "<job> <unit>
--                                <until us>": the example that has its last try here, with nothing beside it
-- KEYS[6] tries          hash    unit -> attempts so far
-- KEYS[7] lost           hash    unit -> leases lost with their worker
-- KEYS[8] unknown        hash    token -> "<nano-dollars> <day>" reserved for a call whose answer never came
-- KEYS[9] workers        set     every worker that has joined and not left
-- KEYS[10] worker        string  exists while the worker lives: its heartbeat, or for as long the word that it asks
-- KEYS[11] window        hash    r<slot>, t<slot> -> requests and tokens admitted in a tenth of a second, from the slot
--                                `tail` on; their sums are the model's minute_requests and minute_tokens
-- KEYS[12] waiting       hash    "<worker> <job>" -> turn, expected tokens, until us (three doubles): lines that wait
-- KEYS[13] budget        hash    the fleet's: per_day, day, spent, reserved, unknown
-- ARGV[1] unit   ARGV[2] token of this attempt   ARGV[3] worker   ARGV[4] job   ARGV[5] learned-key prefix
-- ARGV[6] ms that a heartbeat lasts   ARGV[7] "more" where others of the job wait behind this one in its worker
--
-- Answers {"go", json, attempt, expected tokens, max tokens, plain_in, plain_out, ms until the next may ask, what binds then,
--          incarnation, to be told when the attempt is settled}
--       | {"wait", ms, what binds} | {"drop", why}
local job, todo, leases, model, window, waiting, fleet = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[11], KEYS[12], KEYS[13]
local unit, token, worker = ARGV[1], ARGV[2], ARGV[3]

local POISON = 3            -- leases lost with their worker before an example counts as what kills it
local ALONE = 900000        -- ms that a worker takes nothing beside an example's last try, if that never ends
local BURST = 0.5           -- seconds of the limit that may be used at once
local CREDIT = 2            -- seconds of the limit that may be given back for calls that used less than expected
local WINDOW = 60.8         -- seconds: a minute, and what calls may differ in their way to the provider
local DEVIATIONS = 2.5      -- of what calls in flight may use beyond what is expected, left free
local COLD_RATIO = 0.3      -- prompt tokens per byte before any call was seen
local MARGIN = 1.25         -- over the learned 99th percentile of completion tokens
local LONGEST = 1000        -- ms: everyone asks again within a second, so that a changed limit is felt
local POLL = 200            -- ms between two looks for a free slot, where no settlement of the same process tells
local LATER = 25            -- ms more for each line before, so that hundreds of lines do not keep the broker busy
local GRACE = 300000        -- us that a line keeps its place beyond the time it was told to ask again
local RECOVERY = 0.002      -- share of the limit regained per second after a cut,
local DOUBLING = 60         -- and seconds after which the share has doubled: the longer no refusal, the faster
local CALLS_A_SECOND = 8    -- a second counts as one only with so many calls: slow models probe as rarely per call

local kept = redis.call('HGET', KEYS[8], token)
if kept then
  -- The lease was taken back before its grant reached the worker, which asks again: no call was made.
  local nano, then_day = string.match(kept, '^(%S+) (%S+)')
  redis.call('HDEL', KEYS[8], token)
  redis.call('HINCRBY', job, 'unknown', whole(-tonumber(nano)))
  open_books(fleet)
  if then_day == day then redis.call('HINCRBY', fleet, 'unknown', whole(-tonumber(nano))) end
end

local item, held = redis.call('HGET', todo, unit), read_lease(redis.call('HGET', leases, unit))
if not item then
  -- Another attempt has settled it while our own answer was lost on the way: no call will be made.
  if held.token == token then
    local of_job, of_model, of_fleet = {}, {}, {}
    end_lease(held, unit, leases, KEYS[5], ARGV[4], of_job, of_model, of_fleet)
    add(job, of_job)
    add(model, of_model)
    add(fleet, of_fleet)
  end
  return {'drop', 'settled'}
end
-- Whoever holds a lease lives, and is missed when it is gone, though its heart may not have beaten yet: it begins, or was
-- cut off and is back. Buried now, it would make its call all the same, and another would make it too.
local function live()
  if redis.call('SET', KEYS[10], 'asking', 'NX', 'PX', ARGV[6]) then redis.call('SADD', KEYS[9], worker) end
end
if held.token then
  -- Our own answer was lost on the way: give it again.
  if held.token ~= token then return {'drop', 'leased'} end
  live()
  local of = redis.call('HMGET', job, 'plain_in', 'plain_out', 'incarnation')
  return {'go', string.match(item, '^%d+ %d+ %S+ (.*)$'), held.attempt, held.expected, held.cap, of[1] or '', of[2] or '', 0, '',
    of[3] or ''}
end

local j = redis.call('HMGET', job, 'state', 'budget', 'spent', 'reserved', 'unknown', 'price_in', 'price_out', 'weight', 'turn',
  'plain_in', 'plain_out', 'first_at', 'incarnation')
if not j[1] then return {'drop', 'gone'} end
if j[1] ~= 'running' then return {'drop', j[1]} end
local losses = tonumber(redis.call('HGET', KEYS[7], unit) or 0)
if losses >= POISON then return {'drop', 'poison'} end
-- Whoever was in flight beside the example that killed its worker is as suspect as that one. So the last try of each
-- has nothing beside it in its worker: what dies then dies by it.
local alone, this, last_try = KEYS[5] .. ':alone', ARGV[4] .. ' ' .. unit, losses == POISON - 1
local function keep_alone(ms)
  redis.call('SET', alone, this .. ' ' .. whole(now + ms * 1000), 'PX', ALONE)
end
local whose, until_us = string.match(redis.call('GET', alone) or '', '^(%S+ %S+) (%S+)$')
if whose and whose ~= this and tonumber(until_us) > now then return {'wait', POLL, 'alone'} end
if last_try then
  keep_alone(10 * POLL)
  if redis.call('SCARD', KEYS[5]) > 0 then return {'wait', POLL, 'alone'} end
end

local m = redis.call('HMGET', model, 'rpm', 'tpm', 'concurrent', 'told_rpm', 'told_tpm', 'guess_rpm', 'counting', 'requests',
  'tokens', 'at', 'minute_requests', 'minute_tokens', 'tail', 'in_flight', 'doubt', 'pause', 'cut', 'factor', 'since', 'turn',
  'idle', 'top', 'admitted')
local rpm = lower(tonumber(m[1] or nil), tonumber(m[4] or nil))
local tpm = lower(tonumber(m[2] or nil), tonumber(m[5] or nil))
local concurrent = tonumber(m[3] or nil)
local most = 1
-- Where nobody has named a limit, what refusals have taught is one, and may grow.
if not rpm and not tpm and m[6] then rpm, most = tonumber(m[6]), math.huge end
local in_flight, pause, reserves = tonumber(m[14] or 0), tonumber(m[16] or 0), m[7] == 'reserved'

-- What the call will probably use, as this provider counts, and how wrong that may be.
local bytes, cap, recipe, json = string.match(item, '^(%d+) (%d+) (%S+) (.*)$')
bytes, cap = tonumber(bytes), tonumber(cap)
local l = redis.call('HMGET', ARGV[5] .. recipe, 'ratio', 'completion', 'p99', 'variance')
local prompt = bytes * tonumber(l[1] or COLD_RATIO)
-- A provider that takes max_tokens at admission leaves the limit unused by what we ask for and do not need: so we
-- ask for what 99 of 100 calls need, and a margin. A second attempt may follow an answer that was cut: all of it.
if reserves and l[3] and redis.call('HEXISTS', KEYS[6], unit) == 0 then
  cap = math.min(cap, math.ceil(MARGIN * tonumber(l[3])))
end
local completion = reserves and cap or math.min(cap, tonumber(l[2] or cap / 4))
local expected = math.ceil(prompt + completion)
local variance = reserves and 0 or math.floor(tonumber(l[4] or (completion / 2) ^ 2))

-- The share of the limit that refusals have left us. A pause proves nothing, so only time of use wins it back.
local factor = tonumber(m[18] or 1)
if m[17] then
  local used = math.max(0, now - tonumber(m[17]) - tonumber(m[21] or 0)) / 1000000
  local top = math.max(factor, tonumber(m[22] or 0))
  local s = math.min(used, tonumber(m[19] or 0) / CALLS_A_SECOND * top / factor)
  factor = math.min(most, factor + top * (RECOVERY * s + (s / DOUBLING) ^ 3))
end
-- What a minute may hold: a guess that has grown is all of it.
local ceiling = rpm and rpm * (most > 1 and math.max(1, factor) or 1)

-- The buckets, refilled for the time since. They start nearly empty.
local at = tonumber(m[10] or now)
local dt = math.max(0, now - at) / 1000000
local function bucket(level, limit, first)
  local rate = limit / WINDOW * factor
  local burst = rate * BURST
  level = tonumber(level or math.min(first, burst))
  if level < burst then level = math.min(burst, level + rate * dt) end
  return math.min(level, rate * CREDIT + first), rate, burst
end
local request_level, request_rate, request_burst = 0, nil, nil
local token_level, token_rate, token_burst = 0, nil, nil
if rpm then request_level, request_rate, request_burst = bucket(m[8], rpm, 1) end
if tpm then token_level, token_rate, token_burst = bucket(m[9], tpm, expected) end

-- The last minute's use: slots that have left it are taken off.
local slot = math.floor(now / SLOT)
local tail, minute_requests, minute_tokens = tonumber(m[13] or slot), tonumber(m[11] or 0), tonumber(m[12] or 0)
local KEPT = math.ceil(WINDOW * 1000000 / SLOT)
local oldest = slot - KEPT
if tail < oldest then
  if oldest - tail > 2000 then
    redis.call('DEL', window)
    minute_requests, minute_tokens = 0, 0
  else
    local names = {}
    for s = tail, oldest - 1 do
      names[#names + 1] = 'r' .. s
      names[#names + 1] = 't' .. s
    end
    local gone = redis.call('HMGET', window, unpack(names))
    for n = 1, #gone, 2 do
      minute_requests = minute_requests - tonumber(gone[n] or 0)
      minute_tokens = minute_tokens - tonumber(gone[n + 1] or 0)
    end
    redis.call('HDEL', window, unpack(names))
  end
  tail = oldest
  redis.call('HSET', model, 'minute_requests', whole(minute_requests), 'minute_tokens', whole(minute_tokens), 'tail', tail)
end

-- Whose turn it is, by start-time fair queueing (Goyal, Vin, Cheng 1996): a job's turns are as far apart as its calls
-- cost, in seconds of the limit, divided by its weight; whoever's turn is earlier has what it needs kept free.
local cost = math.max(rpm and rpm > 0 and WINDOW / rpm or 0, tpm and expected * WINDOW / tpm or 0)
if cost == 0 then cost = 1 end
cost = cost / tonumber(j[8] or 1)
local mine, model_turn, job_turn = worker .. ' ' .. ARGV[4], tonumber(m[20] or 0), tonumber(j[9] or 0)
local others, turn = {}, nil
local entries = redis.call('HGETALL', waiting)
for e = 1, #entries, 2 do
  local its_turn, its_tokens, its_until = struct.unpack('>ddd', entries[e + 1])
  if entries[e] == mine then
    turn = its_turn
  elseif its_until < now then
    redis.call('HDEL', waiting, entries[e])
  else
    others[#others + 1] = {entries[e], its_turn, its_tokens}
  end
end
local function take_turn()
  turn = math.max(model_turn, job_turn)
  job_turn = turn + cost
end
local first_ask = not turn
if first_ask then take_turn() end

-- Seconds until so much of the last minute's use has left it.
local function leaves(kind, amount)
  local left = 0
  for first = tail, slot, 40 do
    local names = {}
    for s = first, math.min(slot, first + 39) do names[#names + 1] = kind .. s end
    for n, used in ipairs(redis.call('HMGET', window, unpack(names))) do
      left = left + tonumber(used or 0)
      if left >= amount then return ((first + n + KEPT) * SLOT - now) / 1000000 end
    end
  end
  return WINDOW
end

-- How long until a call like this one fits: 0, or ms and what binds.
local of_this_job = ' ' .. ARGV[4]
local function wait_for()
  local wait, binds = 0, ''
  local requests, tokens, slots = 0, 0, 0
  for _, other in ipairs(others) do
    if other[2] < turn or (other[2] == turn and other[1] < mine) then
      requests, tokens = requests + 1, tokens + other[3]
      -- A free slot goes to whoever of a job asks first: keeping it for another worker would leave it empty.
      if string.sub(other[1], -#of_this_job) ~= of_this_job then slots = slots + 1 end
    end
  end
  local function longer(seconds, what)
    if seconds > wait then wait, binds = seconds, what end
  end
  if rpm then
    longer((requests + math.min(1, request_burst) - request_level) / request_rate, 'requests')
    local over = minute_requests + requests + 1 - ceiling
    if over > 0 and minute_requests > 0 then longer(leaves('r', math.min(over, minute_requests)), 'requests') end
  end
  if tpm then
    -- A call larger than the burst needs a full bucket and leaves it in debt.
    longer((tokens + math.min(expected, token_burst) - token_level) / token_rate, 'tokens')
    local spare = DEVIATIONS * math.sqrt(math.max(0, tonumber(m[15] or 0)) + variance)
    local over = minute_tokens + tokens + expected + spare - tpm
    if over > 0 and minute_tokens > 0 then longer(leaves('t', math.min(over, minute_tokens)), 'tokens') end
  end
  local later = LATER * requests
  wait = math.min(LONGEST + later, math.ceil(wait * 1000))
  if concurrent and in_flight + slots >= concurrent and wait < POLL + later then return POLL + later, 'concurrent' end
  return wait, binds
end
local function stand(ms, what)
  redis.call('HSET', waiting, mine, struct.pack('>ddd', turn, expected, now + ms * 1000 + GRACE))
  if ms > 0 then redis.call('HINCRBY', model, 'waited_' .. what, ms) end
end

local function job_turn_text() return string.format('%.9f', job_turn) end

local wait, binds
if pause > now then
  wait, binds = math.min(LONGEST, math.ceil((pause - now) / 1000)), 'pause'
else
  wait, binds = wait_for()
end
if wait > 0 then
  stand(wait, binds)
  if first_ask then redis.call('HSET', job, 'turn', job_turn_text()) end
  return {'wait', wait, binds}
end

-- The budgets: what is spent, what may still be spent by calls in flight, and the most this call can cost.
local worst = bytes * tonumber(j[6] or 0) + cap * tonumber(j[7] or 0)
local reserved = tonumber(j[4] or 0)
local f = redis.call('HMGET', fleet, 'per_day', 'spent', 'unknown', 'reserved', 'day')
if f[5] ~= day then
  open_books(fleet)
  f[2], f[3] = 0, 0
end
local fleet_reserved = tonumber(f[4] or 0)
local over_job = j[2] and tonumber(j[3] or 0) + tonumber(j[5] or 0) + reserved + worst > tonumber(j[2])
local over_fleet = f[1] and f[2] + f[3] + fleet_reserved + worst > tonumber(f[1])
if over_job or over_fleet then
  -- Calls in flight usually cost less than their reservation, so room may come back when they settle.
  redis.call('HDEL', waiting, mine)
  if (not over_job or reserved > 0) and (not over_fleet or fleet_reserved > 0) then return {'wait', 100, 'budget'} end
  redis.call('HSET', job, 'state', 'budget')
  if not over_job or reserved > 0 then
    redis.call('HSET', job, 'note', "the fleet's budget for the day (UTC) is used up; resume tomorrow, or raise it with "
      .. '`genfleet limits --daily-budget`.')
  end
  return {'drop', 'budget'}
end

-- Take.
if last_try then keep_alone(ALONE) end
local attempt = redis.call('HINCRBY', KEYS[6], unit, 1)
local stamp = whole(now)
redis.call('HSET', leases, unit, table.concat({token, worker, expected, whole(worst), stamp, attempt, recipe, cap, whole(variance)}, ' '))
redis.call('SADD', KEYS[5], ARGV[4] .. ' ' .. unit)
live()
redis.call('HSET', fleet, 'reserved', whole(fleet_reserved + worst))
redis.call('HINCRBY', window, 'r' .. slot, 1)
redis.call('HINCRBY', window, 't' .. slot, expected)
minute_requests, minute_tokens = minute_requests + 1, minute_tokens + expected
request_level, token_level, in_flight = request_level - 1, token_level - expected, in_flight + 1
model_turn = math.max(model_turn, turn)
m[15] = tonumber(m[15] or 0) + variance
redis.call('HSET', model, 'at', stamp, 'requests', tostring(rpm and request_level or 0), 'tokens', tostring(tpm and token_level or 0),
  'minute_requests', whole(minute_requests), 'minute_tokens', whole(minute_tokens), 'tail', tail, 'in_flight', in_flight,
  'doubt', whole(m[15]), 'since', tonumber(m[19] or 0) + 1, 'share', tostring(factor), 'turn', string.format('%.9f', model_turn),
  'admitted', tonumber(m[23] or 0) + 1)
-- The next of the line takes its turn now and asks when it will probably fit: one question an example, not two.
local more = ARGV[7] == 'more'
if more then take_turn() end
redis.call('HSET', job, 'reserved', whole(reserved + worst), 'turn', job_turn_text(), 'first_at', j[12] or stamp)
if not more then
  if #entries > 0 then redis.call('HDEL', waiting, mine) end
  return {'go', json, tostring(attempt), tostring(expected), tostring(cap), j[10] or '', j[11] or '', 0, '', j[13] or ''}
end
wait, binds = wait_for()
stand(wait, binds)
return {'go', json, tostring(attempt), tostring(expected), tostring(cap), j[10] or '', j[11] or '', wait, binds, j[13] or ''}
