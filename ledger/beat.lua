-- beat: a worker lives. Its heart is heard on the server's clock, and so is a silence of the whole fleet.
--
-- KEYS[1] worker    string  the heartbeat: alive, or silent (or asking, see admit.lua); it expires
-- KEYS[2] waiting   string  the examples that the worker holds without a lease, as JSON; it expires
-- KEYS[3] workers   set     every worker that has joined and not left
-- KEYS[4] heard     string  exists while any heart has been heard lately
-- KEYS[5] silence   string  exists for a while after none had been heard
-- ARGV[1] worker  ARGV[2] heartbeat  ARGV[3] ms that it lasts  ARGV[4] waiting  ARGV[5] ms that this lasts
-- ARGV[6] ms without any heart that are a silence  ARGV[7] ms that it counts after its end
--
-- The server refuses the first command of a script that may take memory, when it has none left, and none after another
-- that writes: so hearts go on beating then.
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if redis.call('EXISTS', KEYS[4]) == 0 then redis.call('SET', KEYS[5], 'silence', 'PX', ARGV[7]) end
redis.call('SET', KEYS[4], 'heard', 'PX', ARGV[6])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
redis.call('SADD', KEYS[3], ARGV[1])
