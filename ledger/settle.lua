-- settle: one attempt has ended. Its example is stored and taken off the list in one step, or stays on the list;
-- slot, tokens and money are corrected by what was really used. The same attempt settled again changes nothing.
--
-- KEYS[1] job  KEYS[2] todo  KEYS[3] leases  KEYS[4] model  KEYS[5] worker leases  KEYS[6] tries  KEYS[7] lost
--   (as in admit.lua)
-- KEYS[8] unknown   hash    token -> nano-dollars reserved for a call whose answer never came
-- KEYS[9] rejected  hash    unit -> "<reason> <todo item>", so that it can be tried again
-- KEYS[10] reasons  hash    "<outcome>:<reason>" -> count
-- KEYS[11] results  stream  fields attempt, examples (JSON)
-- ARGV[1] unit  ARGV[2] token  ARGV[3] job  ARGV[4] learned-key prefix
-- ARGV[5] JSON {outcome: accepted|rejected|again, reason, accepted, rejected, cost (nano-dollars; -1 = not known),
--          prompt_tokens, completion_tokens, cached_tokens, retry_after_ms (429), stop (state to give the job), note}
-- ARGV[6] attempt (JSON)   ARGV[7] examples (JSON)
--
-- Answers "settled" | "duplicate" (another attempt had settled the example) | "repeat" (this one already had)
local job, todo, leases, model, unknown = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8]
local unit, token = ARGV[1], ARGV[2]
local s = cjson.decode(ARGV[5])

local EPISODE = 10000000    -- us in which 429s count as one: calls already in flight meet the same wall
local CUT = 0.8
local FLOOR = 0.02
local ENOUGH = 40           -- calls before their 99th percentile means anything
local EVERY = 20            -- calls between two looks at it
local FORGET = 2000         -- calls after which the older ones count half

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function whole(x) return string.format('%d', x) end

-- The 99th percentile of completion tokens, from counts in steps of a quarter of a doubling: "h<k>" counts calls of
-- up to 2^(k/4) tokens. The counts are halved from time to time, so that old calls are forgotten.
local function learn_p99(key, tokens)
  local total = redis.call('HINCRBY', key, 'seen', 1)
  redis.call('HINCRBY', key, 'h' .. math.ceil(4 * math.log(tokens) / math.log(2)), 1)
  if total < ENOUGH or total % EVERY ~= 0 then return end
  local steps, all = {}, 0
  local fields = redis.call('HGETALL', key)
  for f = 1, #fields, 2 do
    local k = string.match(fields[f], '^h(%d+)$')
    if k then
      local count = tonumber(fields[f + 1])
      if total >= FORGET then
        count = math.floor(count / 2)
        redis.call('HSET', key, fields[f], count)
      end
      steps[#steps + 1] = {tonumber(k), count}
      all = all + count
    end
  end
  if total >= FORGET then redis.call('HSET', key, 'seen', all) end
  table.sort(steps, function(a, b) return a[1] > b[1] end)
  local above = 0
  for _, step in ipairs(steps) do
    above = above + step[2]
    if above > all / 100 then
      redis.call('HSET', key, 'p99', math.ceil(2 ^ (step[1] / 4)))
      return
    end
  end
end

local lease = redis.call('HGET', leases, unit)
local held, _, expected, reserved, _, _, recipe
if lease then
  held, _, expected, reserved, _, _, recipe = string.match(lease, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)')
end

if held == token then
  redis.call('HDEL', leases, unit)
  redis.call('SREM', KEYS[5], ARGV[3] .. ' ' .. unit)
  redis.call('HINCRBY', model, 'in_flight', -1)
  redis.call('HINCRBY', job, 'reserved', whole(-tonumber(reserved)))
  if s.cost < 0 then
    redis.call('HSET', unknown, token, reserved)
    redis.call('HINCRBY', job, 'unknown', reserved)
  end
  -- Tokens: the estimate is given back and what was used is taken; where the provider counts max_tokens at
  -- admission the estimate is what it took. An answer that never came keeps its estimate.
  local m = redis.call('HMGET', model, 'counting', 'tpm')
  if m[2] and s.cost >= 0 and (m[1] ~= 'reserved' or s.retry_after_ms) then
    redis.call('HINCRBYFLOAT', model, 'tokens', tonumber(expected) - s.prompt_tokens - s.completion_tokens)
  end
elseif s.reason == 'poison' then
  -- No call was made: the example is given up for what its earlier calls did to their workers.
  if lease or redis.call('HEXISTS', todo, unit) == 0 then return 'repeat' end
else
  local kept = redis.call('HGET', unknown, token)
  if not kept or s.cost < 0 then return 'repeat' end
  redis.call('HDEL', unknown, token)
  redis.call('HINCRBY', job, 'unknown', whole(-tonumber(kept)))
end

redis.call('HINCRBY', job, 'attempts', 1)
redis.call('HINCRBY', job, 'spent', whole(math.max(0, s.cost)))
redis.call('HINCRBY', job, 'prompt_tokens', whole(s.prompt_tokens))
redis.call('HINCRBY', job, 'completion_tokens', whole(s.completion_tokens))
redis.call('HINCRBY', job, 'cached_tokens', whole(s.cached_tokens))
redis.call('HSET', job, 'last_at', whole(now))

if s.retry_after_ms then
  local m = redis.call('HMGET', model, 'pause', 'cut', 'factor')
  redis.call('HSET', model, 'pause', whole(math.max(tonumber(m[1] or 0), now + s.retry_after_ms * 1000)))
  redis.call('HINCRBY', model, 'refused', 1)
  if now - tonumber(m[2] or 0) > EPISODE then
    redis.call('HSET', model, 'cut', whole(now), 'factor', tostring(math.max(FLOOR, CUT * tonumber(m[3] or 1))))
  end
end
if s.stop and redis.call('HGET', job, 'state') == 'running' then
  redis.call('HSET', job, 'state', s.stop, 'note', s.note or '')
end

local item = redis.call('HGET', todo, unit)
if item and s.completion_tokens > 0 then
  -- Running means of what a call uses: the first calls count fully, later ones one part in fifty.
  local bytes, name = string.match(item, '^(%d+) %d+ (%S+)')
  local key = ARGV[4] .. name
  local n = redis.call('HINCRBY', key, 'n', 1)
  local weight = math.max(1 / n, 0.02)
  local l = redis.call('HMGET', key, 'ratio', 'completion', 'cost')
  local function mean(old, value) return tostring((tonumber(old) or value) * (1 - weight) + value * weight) end
  redis.call('HSET', key, 'ratio', mean(l[1], s.prompt_tokens / math.max(1, tonumber(bytes))),
    'completion', mean(l[2], s.completion_tokens), 'cost', mean(l[3], math.max(0, s.cost)))
  learn_p99(key, s.completion_tokens)
end

if s.outcome == 'again' or not item then
  if s.outcome ~= 'again' then
    redis.call('HINCRBY', job, 'duplicates', 1)
    redis.call('HINCRBY', job, 'duplicate_spent', whole(math.max(0, s.cost)))
    s.reason = 'duplicate'
  end
  redis.call('HINCRBY', KEYS[10], 'again:' .. s.reason, 1)
  redis.call('XADD', KEYS[11], '*', 'attempt', ARGV[6], 'examples', '[]')
  return s.outcome == 'again' and 'settled' or 'duplicate'
end

redis.call('HDEL', todo, unit)
redis.call('HDEL', KEYS[6], unit)
redis.call('HDEL', KEYS[7], unit)
redis.call('XADD', KEYS[11], '*', 'attempt', ARGV[6], 'examples', ARGV[7])
redis.call('HINCRBY', job, 'accepted', whole(s.accepted))
redis.call('HINCRBY', job, 'rejected', whole(s.rejected))
if s.outcome == 'rejected' then
  redis.call('HINCRBY', KEYS[10], 'rejected:' .. s.reason, whole(s.rejected))
  redis.call('HSET', KEYS[9], unit, s.reason .. ' ' .. item)
elseif s.rejected > 0 then
  redis.call('HINCRBY', KEYS[10], 'rejected:invalid', whole(s.rejected))
end
local j = redis.call('HMGET', job, 'state', 'cursor', 'units')
if j[1] ~= 'cancelled' and j[2] == j[3] and redis.call('HLEN', todo) == 0 then
  redis.call('HSET', job, 'state', 'complete', 'ended_at', whole(now))
end
return 'settled'
