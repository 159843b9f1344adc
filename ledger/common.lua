-- common: what every script of the ledger begins with. The time is the server's, the only clock of the fleet.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]          -- us
local day = string.format('%d', math.floor(now / 86400000000))
local SLOT = 100000                        -- us of a slot of a model's window

local function whole(x) return string.format('%d', x) end

local function lower(a, b)
  if a and b then return math.min(a, b) end
  return a or b
end

-- The fleet's books are of one day (UTC): the first to look at them on another begins anew. What is reserved stays,
-- as the calls that it is for may be billed on the new day.
local function open_books(fleet)
  if redis.call('HGET', fleet, 'day') ~= day then redis.call('HSET', fleet, 'day', day, 'spent', 0, 'unknown', 0) end
end
