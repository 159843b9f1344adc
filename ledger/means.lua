-- means: what a call of a recipe to a model uses, costs and takes, learned from the calls before. A part of settle.lua.
local ENOUGH = 40           -- calls before their 99th percentile means anything
local EVERY = 20            -- calls between two looks at it
local FORGET = 2000         -- calls after which the older ones count half
local SLOWEST = 0.02        -- the weight of a new call in a running mean, when many have been seen

-- The 99th percentile of completion tokens, from counts in steps of a quarter of a doubling: "h<k>" counts calls of
-- up to 2^(k/4) tokens. The counts are halved from time to time, so that old calls are forgotten.
local function learn_p99(key, total)
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

-- key: hash of ratio (prompt tokens per byte), completion (tokens), cost (nano-dollars), cost2 (its square), latency
-- (seconds), variance (of what was expected, where `expected` is known), n (calls), seen and h<k> (see learn_p99).
local function learn_use(key, bytes, s, expected)
  local step = 'h' .. math.ceil(4 * math.log(s.completion_tokens) / math.log(2))
  local l = redis.call('HMGET', key, 'ratio', 'completion', 'cost', 'cost2', 'latency', 'variance', 'n', 'seen', step)
  local n, seen = tonumber(l[7] or 0) + 1, tonumber(l[8] or 0) + 1
  -- The first calls count fully, later ones one part in fifty.
  local weight = math.max(1 / n, SLOWEST)
  local function mean(old, value, w) return tostring((tonumber(old or nil) or value) * (1 - w) + value * w) end
  local paid = math.max(0, s.cost)
  local learned = {'ratio', mean(l[1], s.prompt_tokens / math.max(1, bytes), weight),
    'completion', mean(l[2], s.completion_tokens, weight), 'cost', mean(l[3], paid, weight),
    'cost2', mean(l[4], paid * paid, weight), 'latency', mean(l[5], s.latency or 0, weight),
    'n', n, 'seen', seen, step, tonumber(l[9] or 0) + 1}
  if expected then
    -- A few calls that came out as expected by chance prove little: at first they weigh less.
    local missed = s.prompt_tokens + s.completion_tokens - expected
    local before = l[6] or (expected / 2) ^ 2
    learned[#learned + 1] = 'variance'
    learned[#learned + 1] = mean(before, missed * missed, math.max(1 / (n + 4), SLOWEST))
  end
  redis.call('HSET', key, unpack(learned))
  if seen >= ENOUGH and seen % EVERY == 0 then learn_p99(key, seen) end
end

local UP_TO = {0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 90, 120, 180, 300, 600}  -- seconds; latency.py has the same

-- How long answered calls took, whatever their recipe. key: hash of "le<s>" (calls of up to s seconds, and longer than
-- the step before; "leinf" beyond the last), ms (of all of them).
local function count_latency(key, seconds)
  local step = 'inf'
  for _, most in ipairs(UP_TO) do
    if seconds <= most then
      step = tostring(most)
      break
    end
  end
  redis.call('HINCRBY', key, 'le' .. step, 1)
  redis.call('HINCRBY', key, 'ms', whole(math.floor(seconds * 1000 + 0.5)))
end
