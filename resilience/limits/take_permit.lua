-- Lends one permit of a fleet's bulkhead: the twin of leases.lend.
--
-- KEYS[1]  the permits: a sorted set of tokens, scored by when the lease ends, in milliseconds of the server's
--          clock; gone with its last lease
-- ARGV[1]  the token of who asks
-- ARGV[2]  how many permits there are
-- ARGV[3]  how long one is lent, milliseconds
-- Reply:   0: it is lent; else when the first of the others ends by itself, milliseconds from now

local FAR = 600000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local lease = tonumber(ARGV[3])

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
-- Lent before the clock went back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.0f', now + FAR), '+inf')
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return tonumber(first[2]) - now
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), ARGV[1])
if redis.call('PTTL', KEYS[1]) < 2 * lease then redis.call('PEXPIRE', KEYS[1], 2 * lease) end
return 0
