-- Counts one request in the window of KEYS[1]. Redis runs a script without interruption, so gateways cannot interleave.
-- ARGV[1]: length of a window in ms. Returns { requests counted in this window, ms until it ends }.
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > tonumber(ARGV[1]) then
  -- The first request opens the window. A counter that has lost its expiry gets a new one; otherwise it would never end.
  -- A window that is longer than the config allows was opened with an older config, and is shortened.
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return { count, left }
