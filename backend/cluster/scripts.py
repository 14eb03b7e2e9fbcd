"""The Lua scripts of the shared store: each is one atomic step, and checks the lease itself.

They run on Redis 6.2 and later and on Valkey 7.2 and later. A full server (`maxmemory`) refuses a
script's first write of new data, and renews leases all the same; after any write it lets all others
through. So the first write of each script is one that a full server refuses.
"""

#: By every process, every half second. Renews, acquires or reports the lease.
BEAT = """
local lease, term_key, life, calls, claims, born, probe, asked, members, settings = unpack(KEYS)
local me, last_term, may_lead, own_settings, run_id, detail = unpack(ARGV)
local lease_ms, claim_ms, member_ms = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local known_term, was_excluded = tonumber(ARGV[10]), ARGV[11] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local probed = redis.pcall('SET', probe, now, 'PX', lease_ms)
local problem = type(probed) == 'table' and probed.err
if problem and not string.find(problem, 'OOM') then return redis.error_reply(problem) end
local is_full = problem and 1 or 0

local holder = redis.call('GET', lease)
if holder == me and may_lead == '1' then redis.call('PEXPIRE', lease, lease_ms)
elseif holder == me then redis.call('DEL', lease) holder = false end

local others = 0
local present = redis.call('HGETALL', members)
for i = 1, #present, 2 do
  local seen = tonumber(string.match(present[i + 1], '^(%d+)|')) or 0
  if math.abs(now - seen) > member_ms then redis.call('HDEL', members, present[i])
  elseif present[i] ~= me then others = others + 1 end
end
local stored_settings = redis.call('GET', settings)
if stored_settings ~= own_settings then
  if stored_settings and (others > 0 or is_full == 1) then
    return {'excluded', now, 0, holder or '', 0, 0, 0, 0, 0, stored_settings, {}, present}
  end
  -- The store lost its data: those whose settings were right come before those that were excluded.
  if was_excluded and not stored_settings then
    redis.pcall('SET', asked, now, 'NX', 'PX', 60000)
    if now - (tonumber(redis.call('GET', asked) or '') or now) < claim_ms then
      return {'excluded', now, 0, holder or '', 0, 0, 0, 0, 0, '', {}, present}
    end
  end
  redis.pcall('SET', settings, own_settings)
end
redis.pcall('HSET', members, me, now .. '|' .. detail)

-- In the log itself: whoever deletes the log deletes the mark that it is complete.
local is_broken = redis.pcall('HGET', calls, 'whole') ~= run_id
local last_life = tonumber(redis.call('GET', life) or '0') or 0
local highest, all_claims, standing, born_at = 0, {}, 'vacant', now

local function acquire()
  if is_full == 1 then return end
  local term = math.max(tonumber(redis.call('GET', term_key) or '0') or 0, highest, known_term) + 1
  redis.call('SET', term_key, term)
  redis.call('SET', lease, me, 'PX', lease_ms)
  redis.call('DEL', born)
  if is_broken then redis.pcall('HDEL', calls, 'whole') end
  holder, standing = me, 'leader'
end

if is_broken then
  if not holder then
    redis.pcall('HSET', claims, me, known_term)
    -- That of a server before, whose data this one began with, is no time for all to speak.
    local run, at = string.match(redis.call('GET', born) or '', '^(.*)|(%d+)$')
    if run == run_id then born_at = tonumber(at)
    else redis.pcall('SET', born, run_id .. '|' .. now, 'PX', 60000) end
  end
  all_claims = redis.call('HGETALL', claims)
  for i = 2, #all_claims, 2 do highest = math.max(highest, tonumber(all_claims[i]) or 0) end
end

if holder == me then standing = 'leader'
elseif holder then standing = 'follower'
elseif is_broken then
  local waited = now - born_at
  local may_go = waited >= claim_ms and tonumber(last_term) == highest
  if may_lead == '1' and (may_go or waited >= claim_ms + lease_ms) then acquire() end
elseif may_lead == '1' then acquire() end

-- Before the log is complete, the last sign of life is that of the leader before.
if standing == 'leader' and not is_broken and is_full == 0 then redis.call('SET', life, now) end
local term = tonumber(redis.call('GET', term_key) or '0') or 0
return {standing, now, term, holder or '', redis.call('PTTL', lease), is_broken and 1 or 0,
        highest, last_life, is_full, '', all_claims, present}
"""

#: Adds amounts to the log of calls. 0 if another process leads, or if somebody has deleted the log:
#: then nothing was added.
APPEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('HEXISTS', KEYS[2], 'whole') == 0 then return 0 end
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
"""

#: Writes a part of a new log beside the old one; the first part begins it. A part, or a COMMIT,
#: that arrives late does not match the token of a rewriting that began since, and does nothing.
REWRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == 'first' then
  local kind = redis.call('TYPE', KEYS[2]).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[2]) end
  redis.call('HSET', KEYS[2], 'token', ARGV[2])
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'token', ARGV[2])
elseif redis.call('HGET', KEYS[2], 'token') ~= ARGV[2] then return 0 end
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
"""

#: Puts the new log in the place of the old one, and marks it as complete on this server.
COMMIT = """
local lease, new_calls, calls, life, claims = unpack(KEYS)
if redis.call('GET', lease) ~= ARGV[1] then return 0 end
if redis.call('HGET', new_calls, 'token') ~= ARGV[3] then return 0 end
local time = redis.call('TIME')
redis.call('SET', life, time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', new_calls, 'whole', ARGV[2])
redis.call('HDEL', new_calls, 'token')
redis.call('RENAME', new_calls, calls)
redis.call('DEL', claims)
return 1
"""

#: Ends the lease and the membership of the process whose id begins with the first argument. 1 if it
#: had the lease.
RELEASE = """
local function is_meant(process) return string.sub(process, 1, #ARGV[1]) == ARGV[1] end
for _, process in ipairs(redis.call('HKEYS', KEYS[2])) do
  if is_meant(process) then redis.call('HDEL', KEYS[2], process) end
end
if not is_meant(redis.call('GET', KEYS[1]) or '') then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""
