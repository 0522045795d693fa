-- Tells the limits of an upstream what is known better since: the twin of gcra.correct.
--
-- KEYS[1]    until when the upstream wants no call: a string, microseconds of the server's clock; gone afterwards
-- KEYS[2..]  one bucket each, as in take.lua
-- ARGV[1]    for how long the upstream wants no call from now on, microseconds; 0: it said nothing
-- ARGV[2..]  for each bucket: change (may be negative), floor, longest, in microseconds
-- Reply:     nothing

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local closed = tonumber(ARGV[1])
if closed > 0 and now + closed > (tonumber(redis.call('GET', KEYS[1]) or 0) or 0) then
  redis.call('SET', KEYS[1], string.format('%.0f', now + closed), 'PX', math.ceil(closed / 1000))
end

for i = 2, #KEYS do
  local at = 1 + (i - 2) * 3
  local change, floor, longest = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local full, queue = string.match(redis.call('GET', KEYS[i]) or '', '^(%d+) (%d+)$')
  local queue_at = tonumber(queue or 0)
  local full_at = math.max(math.max(tonumber(full or 0), now) + change, now + floor)
  full_at = math.min(math.max(full_at, now), now + longest)
  local left = math.max(full_at, queue_at) - now
  if left > 0 then
    redis.call('SET', KEYS[i], string.format('%.0f %.0f', full_at, queue_at), 'PX', math.ceil(left / 1000))
  else
    redis.call('DEL', KEYS[i])
  end
end
