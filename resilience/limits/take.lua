-- Lets a call pass through all limits of an upstream, or through none: the twin of gcra.take.
--
-- KEYS[1]    until when the upstream wants no call: a string, microseconds of the server's clock; gone afterwards;
--            what is too far away is cut, as in gcra.opens_at
-- KEYS[2..]  one bucket each: a string "full_at queue_at", microseconds of the server's clock; gone when both are past
-- ARGV       for each bucket: cost, depth, longest, in microseconds
-- Reply:     how long to wait, microseconds; 0: the call may pass, and was charged
--
-- Whole numbers below 2^53; written with %.0f, as Lua's own way keeps 14 digits only.

local SPREAD, LONGEST_CLOSED = 300000000, 600000000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local gate = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
if gate > now + LONGEST_CLOSED then
  gate = now + LONGEST_CLOSED
  redis.call('SET', KEYS[1], string.format('%.0f', gate), 'PX', LONGEST_CLOSED / 1000)
end

local function keep(key, full_at, queue_at)
  local left = math.max(full_at, queue_at) - now
  if left > 0 then
    redis.call('SET', key, string.format('%.0f %.0f', full_at, queue_at), 'PX', math.ceil(left / 1000))
  end
end

local buckets, latest = {}, gate
for i = 2, #KEYS do
  local at = (i - 2) * 3
  local b = { key = KEYS[i], cost = tonumber(ARGV[at + 1]), depth = tonumber(ARGV[at + 2]) }
  b.limit = now + tonumber(ARGV[at + 3])
  local full, queue = string.match(redis.call('GET', KEYS[i]) or '', '^(%d+) (%d+)$')
  b.queue_at = tonumber(queue or 0)
  b.full = math.min(math.max(tonumber(full or 0), now), b.limit)
  b.ready = math.max(b.full + math.min(b.cost, b.depth) - b.depth, gate)
  latest = math.max(latest, b.ready)
  buckets[#buckets + 1] = b
end

if latest <= now then
  for _, b in ipairs(buckets) do keep(b.key, math.min(b.full + b.cost, b.limit), b.queue_at) end
  return 0
end

local last = #buckets == 0 and gate or now
for _, b in ipairs(buckets) do
  if b.ready > now then
    local turn = math.max(b.ready, b.queue_at)
    if b.queue_at > b.ready + SPREAD then turn = b.ready end
    keep(b.key, b.full, math.min(turn + b.cost, b.limit + SPREAD))
    last = math.max(last, turn)
  end
end
return last - now
