-- set_weight: a job gets another weight. Turns that were taken with the old one are as far ahead of the model's as that
-- made them: with another weight they are so much nearer, or further.
--
-- KEYS[1] job   KEYS[2] model   KEYS[3] waiting   (as in admit.lua)
-- ARGV[1] job   ARGV[2] weight
local job, model, waiting, weight = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[2])
local j = redis.call('HMGET', job, 'weight', 'turn')
local now = tonumber(redis.call('HGET', model, 'turn') or 0)
local function moved(turn) return now + math.max(0, turn - now) * tonumber(j[1] or 1) / weight end
redis.call('HSET', job, 'weight', ARGV[2])
if j[2] then redis.call('HSET', job, 'turn', string.format('%.9f', moved(tonumber(j[2])))) end
local lines = redis.call('HGETALL', waiting)
for n = 1, #lines, 2 do
  if string.match(lines[n], ' (%S+)$') == ARGV[1] then
    local turn, tokens, at = struct.unpack('>ddd', lines[n + 1])
    redis.call('HSET', waiting, lines[n], struct.pack('>ddd', moved(turn), tokens, at))
  end
end
