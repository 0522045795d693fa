-- Renews the permits that a process holds: the twin of leases.renew.
--
-- KEYS[1]   the permits, as in take_permit.lua
-- ARGV[1]   how many permits there are
-- ARGV[2]   how long they are lent from now on, milliseconds
-- ARGV[3..] the tokens of those that are held
-- Reply:    a list, 1 for each token that is lent again, 0 for each that is lost: its place is another's
--
-- Whose lease has ended, or is not known any more (a flush), gets a place again if one is free: its call runs.

local FAR = 600000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local most, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local until_, kept = string.format('%.0f', now + lease), {}

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.0f', now + FAR), '+inf')
for i = 3, #ARGV do
  local is_kept = redis.call('ZSCORE', KEYS[1], ARGV[i]) or redis.call('ZCARD', KEYS[1]) < most
  if is_kept then redis.call('ZADD', KEYS[1], until_, ARGV[i]) end
  kept[#kept + 1] = is_kept and 1 or 0
end
if redis.call('PTTL', KEYS[1]) < 2 * lease then redis.call('PEXPIRE', KEYS[1], 2 * lease) end
return kept
