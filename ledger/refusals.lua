-- refusals: what a 429 teaches. A part of settle.lua.
local SETTLES = 2000000     -- us after a cut in which refusals still belong to it
local CLOSE = 20            -- seconds between two refusals within which the provider's bucket was never full
local IMMUNE = 60000000     -- us for which refusals that cuts do not help against cut little
local BELOW = 0.9           -- of the rate that was learned
local LONGEST_PAUSE = 60    -- seconds, where the provider does not say how long

-- A refusal pauses the model for the fleet, and teaches what its limit really is. Between two refusals the provider's
-- bucket went from empty to empty, so what it let through in between, divided by the time, is its rate.
local function learn_refusal(model, window, admitted_at, told_ms)
  local m = redis.call('HMGET', model, 'pause', 'paused_at', 'streak', 'cut', 'share', 'since', 'refused_since', 'tried',
    'tried_since', 'immune', 'rpm', 'told_rpm', 'tpm', 'told_tpm', 'guess_rpm', 'tail')
  local function number(n) return tonumber(m[n] or nil) end
  redis.call('HINCRBY', model, 'refused', 1)
  local refused = redis.call('HINCRBY', model, 'refused_since', 1)

  local wait = told_ms * 1000
  if wait == 0 then
    -- Not told: one second, and twice as long each time that nothing has come through since.
    local streak = tonumber(m[3] or 0)
    if admitted_at > (number(2) or 0) then streak = redis.call('HINCRBY', model, 'streak', 1) end
    wait = math.min(LONGEST_PAUSE, 2 ^ math.max(0, streak - 1)) * 1000000
  end
  redis.call('HSET', model, 'pause', whole(math.max(number(1) or 0, now + wait)), 'paused_at', whole(now))

  -- Calls that were admitted before the cut meet the same wall: one episode, one cut.
  local cut = number(4)
  if cut and (admitted_at <= cut or now - cut < SETTLES) then return end
  local latest = math.floor(now / SLOT)
  -- No further back than a minute: nobody may have asked, and so tidied up, for longer than a call may take.
  local from = math.max(cut and math.floor(cut / SLOT) + 1 or 0, tonumber(m[16] or latest), latest - 600)
  local slots, requests, tokens = {}, 0, 0
  for slot = from, latest do
    slots[#slots + 1] = 'r' .. slot
    slots[#slots + 1] = 't' .. slot
  end
  local used, first = #slots > 0 and redis.call('HMGET', window, unpack(slots)) or {}, nil
  for n = 1, #used, 2 do
    requests, tokens = requests + tonumber(used[n] or 0), tokens + tonumber(used[n + 1] or 0)
    if used[n] and not first then first = from + (n - 1) / 2 end
  end
  if requests <= 0 then return end  -- a limit lets something through: this is none
  local seconds = (now - (cut or (first or from) * SLOT)) / 1000000
  local rpm, tpm, share = lower(number(11), number(12)), lower(number(13), number(14)), number(5) or 1
  if not rpm and not tpm then
    rpm = number(15)
    if not rpm then
      rpm = math.max(1, 60 * requests / math.max(1, seconds))
      redis.call('HSET', model, 'guess_rpm', tostring(rpm))
    end
  end
  local through = math.max(rpm and requests * 60 / rpm or 0, tpm and tokens * 60 / tpm or 0) / math.max(0.1, seconds)

  local calls = number(6) or 0
  local flood = refused > 0.3 * math.max(1, calls)
  local new
  redis.call('HDEL', model, 'tried', 'tried_since')
  if number(8) and not flood and seconds < CLOSE and calls < 3 * number(9) then
    -- The last cut has not made refusals rarer, so they are not about our rate: it is undone.
    new = 0.97 * number(8)
    redis.call('HSET', model, 'immune', whole(now + IMMUNE))
  elseif now < (number(10) or 0) then
    if now - cut < IMMUNE / 6 then return end
    new = 0.99 * share
  else
    local least = ((cut and seconds < CLOSE) or flood) and 0.3 or 0.85
    -- Somewhat below it, so that the provider's bucket, now empty, fills a little, and chance does not empty it again.
    new = math.min(BELOW, math.max(least, BELOW * through / share)) * share
    if new < 0.8 * share and not flood then redis.call('HSET', model, 'tried', tostring(share), 'tried_since', calls) end
  end
  redis.call('HSET', model, 'cut', whole(now), 'factor', tostring(new), 'share', tostring(new), 'since', 0, 'refused_since', 0)
end
