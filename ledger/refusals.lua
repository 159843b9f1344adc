-- refusals: what a 429 teaches. A part of settle.lua.
local PAUSE = 0.6           -- seconds, where the provider does not say how long: what the burst after it makes up for
local LONGEST_PAUSE = 60    -- seconds, to which that doubles while nothing comes through
local COUNTED = 1.1         -- seconds of a pause in which a bucket of a second may have filled
local SETTLES = 2000000     -- us after a cut in which refusals still belong to it
local ENOUGH = 8            -- calls that must have come through to tell a rate
local CLOSE = 20            -- seconds between two refusals within which the provider's bucket was never full
local BELOW = 0.9           -- of the wall: its bucket, now empty, fills a little, and chance does not empty it again
local AGREES = 0.92         -- of the wall, from where on a refusal is by the same wall
local STRAYS = 2            -- refusals below the wall, one after the other, that are by chance,
local LOOSE = 0.7           -- and what one counts whose wall may be too high
local IMMUNE = 60           -- seconds for which refusals by chance cut nothing, doubled each time that they are found again
local LONGEST_IMMUNE = 600  -- seconds

-- A call has come through while there was a streak of refusals. If it was admitted after the last but one, nobody need
-- wait longer than after a first.
local function end_streak(model, admitted_at)
  local m = redis.call('HMGET', model, 'streak_at', 'pause', 'paused_at', 'told_until')
  redis.call('HDEL', model, 'streak')
  if admitted_at <= tonumber(m[1] or 0) then return end
  local enough = math.max(tonumber(m[4] or 0), tonumber(m[3]) + PAUSE * 1000000)
  if tonumber(m[2]) > enough then redis.call('HSET', model, 'pause', whole(enough)) end
end

-- Pauses the model for the fleet; says for how many us. Not told: twice as long each time that nothing has come through.
local function pause_for(model, admitted_at, told_us)
  local m = redis.call('HMGET', model, 'pause', 'paused_at', 'streak', 'told_until', 'idle')
  local pause, paused_at, streak = tonumber(m[1] or 0), tonumber(m[2] or 0), tonumber(m[3] or 0)
  local wait = told_us
  if told_us > 0 then
    redis.call('HSET', model, 'told_until', whole(math.max(tonumber(m[4] or 0), now + told_us)))
  else
    if admitted_at > paused_at then
      streak = streak + 1
      redis.call('HSET', model, 'streak', streak, 'streak_at', whole(paused_at))
    end
    wait = math.min(LONGEST_PAUSE, PAUSE * 2 ^ math.max(0, streak - 1)) * 1000000
  end
  local more = math.max(0, now + wait - math.max(pause, now) - COUNTED * 1000000)
  redis.call('HSET', model, 'pause', whole(math.max(pause, now + wait)), 'paused_at', whole(now),
    'idle', whole(tonumber(m[5] or 0) + more))
  return wait
end

-- Requests and tokens that were admitted since, and not refused, and the time of the first of them.
local function admitted_since(window, from)
  local slots, requests, tokens, first = {}, 0, 0, nil
  for slot = from, math.floor(now / SLOT) do
    slots[#slots + 1] = 'r' .. slot
    slots[#slots + 1] = 't' .. slot
  end
  local used = #slots > 0 and redis.call('HMGET', window, unpack(slots)) or {}
  for n = 1, #used, 2 do
    requests, tokens = requests + tonumber(used[n] or 0), tokens + tonumber(used[n + 1] or 0)
    if used[n] and not first then first = (from + (n - 1) / 2) * SLOT end
  end
  return requests, tokens, first
end

-- A refusal pauses the model for the fleet, and teaches what its limit really is. Between two of them the provider's
-- bucket went from empty to empty, so what it let through in between, divided by the time, is its rate: the wall. Below
-- the wall nothing is refused: where calls are, and again after another cut, it is by chance, and the cuts are undone.
-- Shares, of the limit: wall, top (before the first cut that has not been seen to help), share and factor (admit.lua).
local function learn_refusal(model, window, admitted_at, told_ms)
  local m = redis.call('HMGET', model, 'cut', 'share', 'factor', 'since', 'idle', 'wall', 'top', 'tail', 'strays', 'stray_calls',
    'stray_refused', 'immune', 'immunity', 'chance', 'through', 'rpm', 'told_rpm', 'tpm', 'told_tpm', 'guess_rpm', 'loose')
  local function number(n) return tonumber(m[n] or nil) end
  local cut, share, calls, idle, wall, top = number(1), number(2) or 1, number(4) or 0, number(5) or 0, number(6), number(7)
  redis.call('HINCRBY', model, 'refused', 1)
  local wait = pause_for(model, admitted_at, told_ms * 1000)

  if cut and admitted_at <= cut then
    -- It met the wall that has been cut for: one call less came through than was thought.
    local n = number(15) or 0
    if n > ENOUGH then
      local less = (n - 1) / n
      redis.call('HSET', model, 'through', n - 1, 'share', tostring(share * less), 'factor', tostring(number(3) * less))
      if wall then redis.call('HSET', model, 'wall', tostring(wall * less)) end
    end
    return
  end
  local refused = redis.call('HINCRBY', model, 'refused_since', 1)
  if cut and now - cut < SETTLES then return end
  local immune = now < (number(12) or 0)
  if immune then
    local usual = number(14) * calls
    if refused <= 2 * usual + 3 * math.sqrt(usual) + 2 then return end
    top = nil  -- many more than by chance: there is a wall
  end

  -- No further back than a minute: nobody may have asked, and so tidied up, for longer than a call may take.
  local latest = math.floor(now / SLOT)
  local from = math.max(cut and math.floor(cut / SLOT) + 1 or 0, tonumber(m[8] or latest), latest - 600)
  local requests, tokens, first = admitted_since(window, from)
  if requests < ENOUGH then return end  -- a limit lets something through: this may be none
  local begin = cut and from * SLOT - cut <= SLOT and cut + idle or first
  local seconds = math.max(0.1, (now - begin) / 1000000)
  local rpm, tpm = lower(number(16), number(17)), lower(number(18), number(19))
  if not rpm and not tpm then
    rpm = number(20)
    if not rpm then
      rpm = math.max(1, 60 * requests / math.max(1, seconds))
      redis.call('HSET', model, 'guess_rpm', tostring(rpm))
    end
  end
  local through = math.max(rpm and requests * 60 / rpm or 0, tpm and tokens * 60 / tpm or 0) / seconds

  local function cut_to(new)
    redis.call('HSET', model, 'cut', whole(now), 'factor', tostring(new), 'share', tostring(new), 'since', 0, 'refused_since', 0,
      'idle', whole(math.max(0, wait - COUNTED * 1000000)))
    redis.call('HDEL', model, 'wall', 'loose', 'through')
  end

  local stray = wall and not immune and through < AGREES * wall
  local strays, stray_calls, stray_refused = number(9) or 0, number(10) or 0, number(11) or 0
  if stray and not m[21] then
    strays = strays + 1
  elseif stray and (strays == 0 or calls < 3 * stray_calls) then
    strays = strays + LOOSE
  end
  if stray and strays >= STRAYS then
    local immunity = math.min(LONGEST_IMMUNE, (number(13) or IMMUNE / 2) * 2)
    cut_to(top)
    redis.call('HDEL', model, 'strays', 'stray_calls', 'stray_refused')
    redis.call('HSET', model, 'immune', whole(now + immunity * 1000000), 'immunity', immunity,
      -- The last of them ended the count, which says nothing of how frequent they are.
      'chance', tostring((stray_refused + refused - 1) / (stray_calls + calls)))
    return
  end
  local least = ((cut and seconds < CLOSE) or refused > 0.3 * math.max(1, calls)) and 0.1 or 0.85
  local new = math.min(BELOW, math.max(least, BELOW * through / share)) * share
  cut_to(new)
  top = math.max(top or 0, share)
  if stray then
    redis.call('HSET', model, 'strays', tostring(strays), 'stray_calls', stray_calls + calls,
      'stray_refused', stray_refused + refused)
  elseif wall or immune then
    redis.call('HDEL', model, 'strays', 'stray_calls', 'stray_refused', 'immune', 'immunity')
    top = immune and new or math.sqrt(top * share)  -- once may be chance
  end
  redis.call('HSET', model, 'top', tostring(top), 'through', requests)
  -- Between two refusals that both found the bucket empty, and never full; after a longer pause it may have been.
  if cut and not immune and seconds < CLOSE then
    redis.call('HSET', model, 'wall', tostring(through))
    if idle > 0 then redis.call('HSET', model, 'loose', 1) end
  end
end
