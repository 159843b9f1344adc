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

-- A lease is what was taken for an attempt: "<token> <worker> <expected tokens> <reserved> <at us> <attempt> <recipe>
-- <max tokens> <variance of the expected tokens>".
local function read_lease(text)
  if not text then return {} end
  local token, worker, expected, reserved, at, attempt, recipe, cap, variance =
    string.match(text, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  return {token = token, worker = worker, expected = expected, reserved = reserved, at = at, attempt = attempt, recipe = recipe,
    cap = cap, variance = variance}
end

-- Adds to several counters of a hash, and sets other fields of it. Two commands, however many there are: each of its
-- own would cost as much as what it counts for.
local function add(key, counts, ...)
  local names, values = {}, {...}
  for name, n in pairs(counts) do
    if n ~= 0 then names[#names + 1] = name end
  end
  if #names > 0 then
    for k, before in ipairs(redis.call('HMGET', key, unpack(names))) do
      values[#values + 1] = names[k]
      values[#values + 1] = whole(tonumber(before or 0) + counts[names[k]])
    end
  end
  if #values > 0 then redis.call('HSET', key, unpack(values)) end
end

-- Its slot is free, and its money no longer reserved; tokens and the request stay used until they are corrected.
-- What that changes is put among the counts that are still to be added: of the job, the model and the fleet.
local function end_lease(lease, unit, leases, worker_leases, job_id, job, model, fleet)
  redis.call('HDEL', leases, unit)
  redis.call('SREM', worker_leases, job_id .. ' ' .. unit)
  local alone = worker_leases .. ':alone'
  if string.match(redis.call('GET', alone) or '', '^(%S+ %S+) ') == job_id .. ' ' .. unit then redis.call('DEL', alone) end
  model.in_flight, model.doubt = -1, -tonumber(lease.variance)
  job.reserved, fleet.reserved = -tonumber(lease.reserved), -tonumber(lease.reserved)
end
