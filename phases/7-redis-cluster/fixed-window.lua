-- Counts one request in the window of KEYS[1]. Redis runs a script without interruption, so gateways cannot interleave.
-- ARGV[1]: length of a window in ms. Returns { requests counted in this window, ms until it ends }.
local window = tonumber(ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= window then
  return { redis.call('INCR', KEYS[1]), left }
end
-- No window is open. A counter without an expiry would never end, and a window that is longer than the config allows was
-- opened with an older config: both are replaced. SET writes count and expiry together, so one cannot exist without the other.
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
return { 1, window }
