-- Counts one request in the window of KEYS[1]. Redis runs a script as one step, so no other gateway gets in between.
-- ARGV[1]: length of a window in ms. Returns { requests counted so far, ms left of the window }.
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  -- The first request opens the window. A counter that lost its expiry gets a new one instead of blocking for ever.
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return { count, left }
