-- One exchange of one process about one upstream: the twin of machine.py, computed where the fleet's state is.
--
-- KEYS[1]  the circuit: a string of JSON, gone ARGV[4] after the last exchange; with an order, not before that ends
-- ARGV[1]  the message, JSON; the fields of message.Message, times in milliseconds
-- ARGV[2]  the terms, JSON; the fields of terms.Terms
-- ARGV[3]  the channel on which a turn is told to all other processes
-- ARGV[4]  how long the circuit is kept, milliseconds
-- ARGV[5]  the upstream's name, for the channel
-- Reply:   JSON; the fields of message.Reply, times in milliseconds from now
--
-- Whole numbers only, below 10^14, as the JSON of this server writes no more digits.

local PERCENT, SLOTS, SECOND, THOUSAND_SECONDS, BURST, CALM = 100, 10, 1000, 1000000, 250000, 4000
local OVERRIDES = { isolate = 'isolated', disable = 'disabled', shadow = 'shadow', release = '', close = '' }
local TO = {
  opened = 'open', probing = 'half_open', recovering = 'ramp', relapsed = 'open', fell_back = 'open',
  recovered = 'closed', forced = 'closed', remembered = 'open',
}

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local m, t = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local turns, permits, is_overridden, has_counted = {}, 0, false, false

local function new_circuit()
  return {
    phase = 'closed', epoch = 1, turned_at = 0, reason = '', trips = 0, forgiven_at = 0, ['until'] = 0,
    not_before = 0, slots = {}, recent = {}, streak = 0, streak_since = 0, streak_by = '',
    is_streak_shared = false,
    heard = {}, failers = {}, normal_rate = 0, probe_owner = '', probe_until = 0, probe_began = 0,
    probe_wins = 0, rate = 0, grown_at = 0, cut_at = 0, taken = 0, next_permit = 0, has_failed = false,
    well_since = 0, backlog_until = 0, override = '', override_until = 0, override_reason = '',
    override_actor = '',
  }
end

local stored = redis.call('GET', KEYS[1])
local c = stored and cjson.decode(stored) or new_circuit()
local not_before = c.not_before

local function over(dividend, divisor) return math.floor(dividend / divisor) end

local function noted(list, who, at)
  local kept = {}
  for _, one in ipairs(list) do
    if one[1] ~= who then kept = { one } end
  end
  kept[#kept + 1] = { who, at }
  return kept
end

local function are_two(list)
  local fresh = 0
  for _, one in ipairs(list) do
    if now - one[2] <= t.window then fresh = fresh + 1 end
  end
  return fresh > 1
end

local function turn(name, reason)
  c.phase, c.epoch, c.turned_at, c.reason = TO[name], c.epoch + 1, now, reason
  c.slots, c.recent, c.heard, c.failers = {}, {}, {}, {}
  c.streak, c.streak_since, c.streak_by, c.is_streak_shared = 0, 0, '', false
  c.probe_owner, c.probe_until, c.probe_began, c.probe_wins = '', 0, 0, 0
  turns[#turns + 1] = name
end

local function open(name, reason)
  local best = 0
  for _, slot in ipairs(c.slots) do best = math.max(best, slot.ok) end
  best = over(best * THOUSAND_SECONDS, t.slot)
  if name == 'opened' and best > 0 then c.normal_rate = best end
  c.trips = c.trips + 1
  local span = math.min(t.open * 2 ^ math.min(c.trips - 1, 20), t.longest_open)
  turn(name, reason)
  c['until'] = math.max(now + over(span * (800 + over(m.chance, 5)), SECOND), c.not_before)
end

local function override(what, ends, reason, actor)
  c.override, c.override_until, c.override_reason, c.override_actor = what, ends, reason, actor
  c.epoch = c.epoch + 1
  is_overridden = true
end

-- Time.

local function grow()
  local seconds = over(now - c.grown_at, SECOND)
  if seconds <= 0 then return end
  local growth = t.quick_growth
  if c.has_failed then growth = math.min(t.slow_growth + over(now - c.cut_at, CALM), growth) end
  if c.taken > 0 then c.rate = math.min(over(c.rate * growth, PERCENT) + 1, t.most_rate) end
  c.taken = 0
  c.grown_at = c.grown_at + seconds * SECOND
end

local function pass_time()
  if c.override ~= '' and 0 < c.override_until and c.override_until <= now then
    override('', 0, 'its time was over', '')
  end
  if c.phase == 'closed' then
    while c.trips > 0 and now - c.forgiven_at >= t.forgive do
      c.trips = c.trips - 1
      c.forgiven_at = c.forgiven_at + t.forgive
    end
  elseif c.phase == 'ramp' then
    grow()
  end
end

-- Orders.

local function obey()
  if m.order == '' then return end
  override(OVERRIDES[m.order], m.order_for > 0 and now + m.order_for or 0, m.order_reason, m.order_actor)
  if m.order == 'close' and c.phase ~= 'closed' then
    c.trips = 0
    turn('forced', m.order_reason)
  end
end

local function remember()
  if m.known_epoch <= c.epoch then return end
  c.epoch = m.known_epoch
  if c.phase == 'closed' and m.known_open > 0 then
    c.trips = c.trips + 1
    turn('remembered', 'the store had forgotten')
    c['until'] = now + math.min(m.known_open, t.longest_open)
  end
end

-- Counting.

-- Epoch 0: of a process that has heard nothing yet.
local function is_of_now() return m.epoch == c.epoch or m.epoch == 0 end

local function slot_of_now()
  local stamp, kept = over(now, t.slot), {}
  for _, slot in ipairs(c.slots) do
    if stamp - SLOTS < slot.stamp and slot.stamp <= stamp then kept[#kept + 1] = slot end
  end
  c.slots = kept
  if #kept == 0 or kept[#kept].stamp ~= stamp then
    kept[#kept + 1] = { stamp = stamp, ok = 0, failed = 0, pushed = 0, slow = 0, overdue = 0 }
  end
  return kept[#kept]
end

local function note_outcomes()
  for _ = 1, math.min(m.ok, t.rare_calls) do c.recent[#c.recent + 1] = { now, 0 } end
  for _ = 1, math.min(m.failed, t.rare_calls) do c.recent[#c.recent + 1] = { now, 1 } end
  local kept = {}
  for index = math.max(#c.recent - t.rare_calls + 1, 1), #c.recent do kept[#kept + 1] = c.recent[index] end
  c.recent = kept
end

local function lengthen_streak()
  if m.ok > 0 and now - m.ok_age >= c.streak_since then
    c.streak, c.streak_since, c.streak_by, c.is_streak_shared = 0, 0, '', false
  end
  local added = m.ok > 0 and m.tail or m.failed
  if added <= 0 then return end
  if c.streak == 0 then c.streak_since = now - m.tail_age end
  c.streak = c.streak + added
  if c.streak_by == '' then
    c.streak_by = m.who
  elseif c.streak_by ~= m.who then
    c.is_streak_shared = true
  end
end

local function count()
  if m.retry_after > 0 then
    c.not_before = math.max(c.not_before, now + math.min(m.retry_after, t.longest_retry_after))
  end
  if m.backlog then c.backlog_until = now + t.backlog_counts end
  if m.fatal ~= '' then override('isolated', now + t.fatal, m.fatal, 'the breaker') end
  if m.ok + m.failed + m.pushed + m.slow == 0 and m.overdue == 0 then return end
  if not is_of_now() or (c.phase ~= 'closed' and c.phase ~= 'ramp') then return end
  local slot = slot_of_now()
  for _, name in ipairs({ 'ok', 'failed', 'pushed', 'slow', 'overdue' }) do slot[name] = slot[name] + m[name] end
  c.heard = noted(c.heard, m.who, now)
  if m.failed > 0 then c.failers = noted(c.failers, m.who, now) end
  note_outcomes()
  lengthen_streak()
  has_counted = true
end

-- Judging.

local function sums(window)
  local oldest = over(now - window, t.slot)
  local sum = { ok = 0, failed = 0, pushed = 0, slow = 0, overdue = 0 }
  for _, slot in ipairs(c.slots) do
    if slot.stamp > oldest then
      for name, value in pairs(sum) do sum[name] = value + slot[name] end
    end
  end
  return sum
end

local function are_rare_failing()
  local fresh, failed = 0, 0
  for _, one in ipairs(c.recent) do
    if now - one[1] <= t.rare then fresh, failed = fresh + 1, failed + one[2] end
  end
  return fresh >= t.rare_calls and failed * PERCENT >= fresh * t.failing_percent
end

local function ill(window)
  local several = are_two(c.heard)
  if c.streak >= t.streak and (c.is_streak_shared or not several) then return 'streak' end
  local sum = sums(window)
  local ended = sum.ok + sum.failed
  local is_fleetwide = are_two(c.failers) or not several
  if ended >= t.least_calls then
    if sum.failed * PERCENT >= ended * t.failing_percent and is_fleetwide then return 'failing' end
  elseif are_rare_failing() and is_fleetwide then
    return 'failing'
  end
  local calls = ended + math.max(sum.overdue, 0)
  if calls >= t.least_slow_calls and sum.slow * PERCENT >= calls * t.slow_percent then return 'slow' end
  local asked = ended + sum.pushed
  local is_long = #c.slots > 0 and c.slots[1].stamp <= over(now, t.slot) - (SLOTS - 1)
  if is_long and asked >= t.least_calls and sum.pushed * PERCENT > asked * t.failing_percent then
    return 'pushed_back'
  end
  return ''
end

local function steer()
  if is_of_now() and m.failed + m.pushed > 0 then
    c.has_failed = true
    if now - c.cut_at >= SECOND then
      c.rate = math.max(over(c.rate * t.cut_percent, PERCENT), t.least_rate)
      c.cut_at = now
    end
  end
  local sum = sums(t.ramp_window)
  local calls = sum.ok + sum.failed + sum.pushed
  local is_well = sum.ok > 0 and (sum.failed + sum.pushed) * PERCENT < calls * t.well_percent
  if not is_well or c.rate < c.normal_rate then
    c.well_since = 0
  elseif c.well_since == 0 then
    c.well_since = now
  elseif now - c.well_since >= t.ramp_window and c.backlog_until <= now then
    turn('recovered', 'well')
    c.forgiven_at = now
  end
end

local function judge()
  if c.phase == 'closed' then
    local reason = has_counted and ill(t.window) or ''
    if reason ~= '' then open('opened', reason) end
  elseif c.phase == 'ramp' then
    local reason = has_counted and ill(t.ramp_window) or ''
    if reason ~= '' then open('fell_back', reason) else steer() end
  end
end

-- Probes.

local function is_prober() return c.phase == 'half_open' and m.token ~= '' and c.probe_owner == m.token end

local function drop() c.probe_owner, c.probe_until, c.probe_began = '', 0, 0 end

local function lend()
  if c.override == 'isolated' or c.override == 'disabled' or m.token == '' then return end
  if c.phase == 'open' and now >= math.max(c['until'], c.not_before) then turn('probing', 'time') end
  if c.phase == 'half_open' and now >= c.not_before and (c.probe_owner == '' or c.probe_until <= now) then
    c.probe_owner, c.probe_until, c.probe_began = m.token, now + t.probe_lease, now
  end
end

local function renew()
  if now - c.probe_began > t.longest_probe then
    open('relapsed', 'probe without end')
  else
    c.probe_until = now + t.probe_lease
  end
end

local function win()
  c.probe_wins = c.probe_wins + 1
  drop()
  if c.probe_wins >= t.probe_successes or m.probe_took > t.long_probe then
    turn('recovering', 'probe')
    c.rate = math.max(t.least_rate, over(c.normal_rate * t.ramp_start, PERCENT))
    c.grown_at, c.cut_at, c.taken, c.next_permit = now, 0, 0, 0
    c.has_failed, c.well_since = false, 0
  end
end

local function hear_of_the_probe()
  if m.probe == 'ask' then
    lend()
  elseif is_prober() then
    if m.probe == 'renew' then renew() end
    if m.probe == 'won' then win() end
    if m.probe == 'lost' then open('relapsed', 'probe') end
    if m.probe == 'dropped' then drop() end
  end
end

-- The ramp's permits.

local function grant()
  if c.phase ~= 'ramp' or m.wants <= 0 or now < c.not_before then return end
  local interval = over(SECOND * THOUSAND_SECONDS, c.rate)
  local at = (now - c.turned_at) * SECOND
  local arrival = math.max(c.next_permit, at - BURST)
  if arrival > at then return end
  permits = math.min(m.wants, over(at - arrival, interval) + 1)
  c.next_permit = arrival + permits * interval
  c.taken = c.taken + permits
end

local function reply()
  local closed_for, next_permit = 0, 0
  if c.phase == 'open' then closed_for = math.max(c['until'] - now, 0) end
  if c.phase == 'half_open' and c.probe_owner ~= '' then closed_for = math.max(c.probe_until - now, 0) end
  if c.override == 'isolated' then closed_for = math.max(c.override_until - now, 0) end
  if c.phase == 'ramp' then next_permit = over(math.max(c.next_permit - (now - c.turned_at) * SECOND, 0), SECOND) end
  return {
    phase = c.phase, epoch = c.epoch, override = c.override,
    reason = c.override ~= '' and c.override_reason or c.reason,
    closed_for = closed_for, not_before = math.max(c.not_before - now, 0), is_prober = is_prober(),
    permits = permits, next_permit = next_permit, rate = c.phase == 'ramp' and c.rate or 0,
    turns = turns, is_overridden = is_overridden,
  }
end

pass_time()
obey()
remember()
count()
judge()
hear_of_the_probe()
grant()

local answer = reply()
if c.override ~= '' and c.override_until == 0 then
  redis.call('SET', KEYS[1], cjson.encode(c))
else
  redis.call('SET', KEYS[1], cjson.encode(c), 'PX', math.max(tonumber(ARGV[4]), c.override_until - now))
end
if #turns > 0 or is_overridden or c.not_before ~= not_before then
  redis.call('PUBLISH', ARGV[3], cjson.encode({ name = ARGV[5], by = m.who, reply = answer }))
end
return cjson.encode(answer)
