"""What the server runs: each script is one atomic step.

A script decides first and writes afterwards, and its first write is one that a server without memory refuses: it does
all that it does, or nothing. Times are microseconds of the server's clock; a number goes to and fro as decimal text.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

__all__ = [
    "ACQUIRE",
    "APPEND",
    "CHANGE_STATE",
    "CLAIM",
    "DELETE_ARTIFACT",
    "DELETE_CACHED",
    "DELETE_RUN",
    "FIND_CACHED",
    "PUT_CACHED",
    "READ_ARTIFACT",
    "RELEASE",
    "RELEASE_CLAIM",
    "RENEW",
    "SCAN",
    "SUMMARIES",
    "TOUCH_CACHED",
    "WRITE_ARTIFACT",
    "Script",
]


class Script:
    """A text in Lua, and the name under which a server remembers it.

    Parameters
    ----------
    text : str
        The script, without what all of them share.
    """

    def __init__(self, text: str) -> None:
        self.text: Final = (_SHARED + text).encode()
        # The server's name for it, which is no matter of security.
        self.name: Final = sha1(self.text, usedforsecurity=False).hexdigest().encode()


_SHARED = """
local call = redis.call
local function now()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end
local function decimal(number)
  return string.format('%.0f', number)
end
"""

# KEYS: run, runs, batches. ARGV: run id, graph, owner, token, lease, request, token of a holder that is gone, metadata.
# A request that was answered is answered again: the answer may have been lost.
ACQUIRE = Script("""
local time = now()
local held = call('HMGET', KEYS[1], 'token', 'until', 'holder', 'epoch', 'request')
if held[5] == ARGV[6] then return {'held by you', held[4]} end
if held[1] and held[1] ~= '' and held[1] ~= ARGV[4] and held[1] ~= ARGV[7] and tonumber(held[2]) > time then
  return {'held', held[3], decimal(held[2] - time)}
end
local epoch = decimal((tonumber(held[4]) or -1) + 1)
call('HSET', KEYS[1], 'graph', ARGV[2], 'state', 'RUNNING', 'holder', ARGV[3], 'token', ARGV[4], 'epoch', epoch,
     'request', ARGV[6], 'until', decimal(time + ARGV[5]), 'updated', decimal(time))
call('HSETNX', KEYS[1], 'created', decimal(time))
for at = 8, #ARGV, 2 do call('HSET', KEYS[1], 'm:' .. ARGV[at], ARGV[at + 1]) end
call('DEL', KEYS[3])
call('ZADD', KEYS[2], decimal(time), ARGV[1])
return {'yours', epoch}
""")

# KEYS: run. ARGV: token, epoch, lease.
RENEW = Script("""
local held = call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return {'lost'} end
call('HSET', KEYS[1], 'until', decimal(now() + ARGV[3]))
return {'renewed'}
""")

# KEYS: run, runs. ARGV: run id, token, epoch, state.
RELEASE = Script("""
local held = call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return {'lost'} end
local time = decimal(now())
call('HSET', KEYS[1], 'state', ARGV[4], 'token', '', 'holder', '', 'until', '0', 'updated', time)
call('ZADD', KEYS[2], time, ARGV[1])
return {'released'}
""")

# Changes are planned one after the other, each on what the earlier ones leave; then all of them are made. A deleted
# value leaves its version behind, so that one that is created anew gets a later one.
_CHANGES = """
local function plan(blob, prefix)
  local known, steps, position = {}, {}, 1
  while position <= #blob do
    local space, name, size, put, expected
    space, name, size, put, expected, position = struct.unpack('<I4I4I4Bd', blob, position)
    local namespace = string.sub(blob, position, position + space - 1)
    position = position + space
    local key = string.sub(blob, position, position + name - 1)
    position = position + name
    local place = space .. ':' .. namespace .. key
    local value = known[place]
    if not value then
      local stored = call('HGET', prefix .. 'state:' .. namespace, key)
      if stored then
        local version = struct.unpack('<d', stored)
        value = {version = version, last = version}
      else
        value = {version = 0, last = tonumber(call('HGET', prefix .. 'deleted:' .. namespace, key)) or 0}
      end
      known[place] = value
    end
    if expected >= 0 and expected ~= value.version then return nil, namespace, key end
    if put == 1 then
      value.last = value.last + 1
      value.version = value.last
      local version = struct.pack('<dd', value.version, value.version)
      steps[#steps + 1] = {namespace, key, version .. string.sub(blob, position, position + size - 1)}
    elseif value.version > 0 then
      value.version = 0
      steps[#steps + 1] = {namespace, key, false, decimal(value.last)}
    end
    position = position + size
  end
  return steps
end
local function make(steps, prefix, namespaces)
  local touched = {}
  for _, step in ipairs(steps) do
    touched[step[1]] = true
    if step[3] then
      call('HSET', prefix .. 'state:' .. step[1], step[2], step[3])
      call('HDEL', prefix .. 'deleted:' .. step[1], step[2])
    else
      call('HSET', prefix .. 'deleted:' .. step[1], step[2], step[4])
      call('HDEL', prefix .. 'state:' .. step[1], step[2])
    end
  end
  for namespace in pairs(touched) do
    local kept = call('EXISTS', prefix .. 'state:' .. namespace) == 1
    call(kept and 'SADD' or 'SREM', namespaces, namespace)
  end
end
"""

# KEYS: run, runs, batches, commits, namespaces. ARGV: run id, token, epoch, batch, prefix, commits, changes, how many
# commits. A thousand commits are taken apart by one call of a function in C. A batch that is there is noted again:
# whoever waits for the disk waits for a write of his own connection.
APPEND = Script(
    _CHANGES
    + """
local held = call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return {'lost'} end
local time = decimal(now())
if call('GETBIT', KEYS[3], ARGV[4]) == 1 then
  call('HSET', KEYS[1], 'updated', time)
  return {'there'}
end
local steps, namespace, key = plan(ARGV[7], ARGV[5])
if not steps then return {'conflict', namespace, key} end
call('HSET', KEYS[1], 'updated', time)
call('SETBIT', KEYS[3], ARGV[4], 1)
call('ZADD', KEYS[2], time, ARGV[1])
local left, position = tonumber(ARGV[8]), 1
while left > 0 do
  local count = math.min(left, 1000)
  local fields = {struct.unpack('<' .. string.rep('I4c0I4c0', count), ARGV[6], position)}
  position = table.remove(fields)
  left = left - count
  call('HSET', KEYS[4], unpack(fields))
end
make(steps, ARGV[5], KEYS[5])
return {'written'}
"""
)

# KEYS: a mark that this request was done, namespaces. ARGV: prefix, changes, for how long the mark stays.
CHANGE_STATE = Script(
    _CHANGES
    + """
if call('EXISTS', KEYS[1]) == 1 then
  call('SET', KEYS[1], '1', 'PX', ARGV[3])
  return {'there'}
end
local steps, namespace, key = plan(ARGV[2], ARGV[1])
if not steps then return {'conflict', namespace, key} end
call('SET', KEYS[1], '1', 'PX', ARGV[3])
make(steps, ARGV[1], KEYS[2])
return {'written'}
"""
)

# KEYS: a hash. ARGV: cursor, about how many, pattern of keys, which of a pair is wanted: 1, 2 or both. Returns lengths
# in one text and values in another, since a client takes that apart much faster than it reads as many values.
SCAN = Script("""
local reply = call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2], 'MATCH', ARGV[3])
local found, parts, lengths, count = reply[2], {}, {}, 0
local first, step = 1, 1
if ARGV[4] ~= 'both' then first, step = tonumber(ARGV[4]), 2 end
for at = first, #found, step do
  count = count + 1
  parts[count] = found[at]
  lengths[count] = #found[at]
end
local packed = {}
for at = 1, count, 1000 do
  local last = math.min(at + 999, count)
  packed[#packed + 1] = struct.pack('<' .. string.rep('I4', last - at + 1), unpack(lengths, at, last))
end
return {reply[1], table.concat(packed), table.concat(parts)}
""")

# KEYS: run and commits, again and again. Returns the time, and for each run its fields and its number of commits.
SUMMARIES = Script("""
local found = {decimal(now())}
for at = 1, #KEYS, 2 do
  found[#found + 1] = call('HGETALL', KEYS[at])
  found[#found + 1] = call('HLEN', KEYS[at + 1])
end
return found
""")

# KEYS: run, runs, batches, commits. ARGV: run id, token of a holder that is gone, when it was changed as it was read.
DELETE_RUN = Script("""
local held = call('HMGET', KEYS[1], 'token', 'until', 'holder', 'updated')
if not held[4] then return {'absent'} end
local left = tonumber(held[2]) - now()
if held[1] ~= '' and held[1] ~= ARGV[2] and left > 0 then return {'held', held[3], decimal(left)} end
if held[4] ~= ARGV[3] then return {'changed', held[4]} end
call('ZREM', KEYS[2], ARGV[1])
call('DEL', KEYS[1], KEYS[3])
call('UNLINK', KEYS[4])
return {'deleted'}
""")

# KEYS: results, times of use. ARGV: key.
FIND_CACHED = Script("""
return {call('HGET', KEYS[1], ARGV[1]), call('ZSCORE', KEYS[2], ARGV[1]), decimal(now())}
""")

# KEYS: results, times of use. ARGV: key, record, time of use.
PUT_CACHED = Script("""
call('HSET', KEYS[1], ARGV[1], ARGV[2])
call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return {'written'}
""")

# KEYS: times of use. ARGV: time of use, keys. A use that is noted late takes no later one back.
TOUCH_CACHED = Script("""
for at = 2, #ARGV do call('ZADD', KEYS[1], 'XX', 'GT', ARGV[1], ARGV[at]) end
return {'written'}
""")

# KEYS: results, times of use. ARGV: keys.
DELETE_CACHED = Script("""
call('HDEL', KEYS[1], unpack(ARGV))
call('ZREM', KEYS[2], unpack(ARGV))
return {'deleted'}
""")

# KEYS: claim. ARGV: owner, token, milliseconds, token of an owner that is gone. A claim begins with its owner's token.
CLAIM = Script("""
local held = call('GET', KEYS[1])
if held then
  local token = string.match(held, '^[^\\n]*')
  if token ~= ARGV[2] and token ~= ARGV[4] then return {'held', string.sub(held, #token + 2)} end
end
call('SET', KEYS[1], ARGV[2] .. '\\n' .. ARGV[1], 'PX', ARGV[3])
return {'yours'}
""")

# KEYS: claim. ARGV: token.
RELEASE_CLAIM = Script("""
local held = call('GET', KEYS[1])
if held and string.match(held, '^[^\\n]*') == ARGV[1] then call('DEL', KEYS[1]) end
return {'released'}
""")

# An artifact is an entry 'id size chunks time' and its chunks, whose keys have that id. They are there before the entry
# is, with an end that the entry takes from them: what is never finished goes away by itself.
_ARTIFACTS = """
local function parse(entry)
  local id, size, chunks = string.match(entry, '^(%w+) (%d+) (%d+) ')
  return id, size, tonumber(chunks)
end
local function drop(entry, prefix)
  local id, _, chunks = parse(entry)
  for at = 0, (chunks or 0) - 1 do call('UNLINK', prefix .. id .. ':' .. at) end
end
"""

# KEYS: artifacts. ARGV: prefix of chunks, name, id, size, number of chunks, and if that is 1, the chunk.
WRITE_ARTIFACT = Script(
    _ARTIFACTS
    + """
local old = call('HGET', KEYS[1], ARGV[2])
local again = old and parse(old) == ARGV[3]
local own = ARGV[1] .. ARGV[3] .. ':'
if ARGV[6] then
  call('SET', own .. 0, ARGV[6])
elseif not again then
  for at = 0, ARGV[5] - 1 do
    if call('EXISTS', own .. at) == 0 then return {'missing', tostring(at)} end
  end
end
call('HSET', KEYS[1], ARGV[2], table.concat({ARGV[3], ARGV[4], ARGV[5], decimal(now())}, ' '))
for at = 0, ARGV[5] - 1 do call('PERSIST', own .. at) end
if old and not again then drop(old, ARGV[1]) end
return {'written'}
"""
)

# KEYS: artifacts. ARGV: prefix of chunks, name. Returns the entry, and the chunk if there is but one.
READ_ARTIFACT = Script(
    _ARTIFACTS
    + """
local entry = call('HGET', KEYS[1], ARGV[2])
if not entry then return {} end
local id, _, chunks = parse(entry)
if chunks == 1 then return {entry, call('GET', ARGV[1] .. id .. ':0')} end
return {entry}
"""
)

# KEYS: artifacts. ARGV: prefix of chunks, name.
DELETE_ARTIFACT = Script(
    _ARTIFACTS
    + """
local entry = call('HGET', KEYS[1], ARGV[2])
if entry then
  drop(entry, ARGV[1])
  call('HDEL', KEYS[1], ARGV[2])
end
return {'deleted'}
"""
)
