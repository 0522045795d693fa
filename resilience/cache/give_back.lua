-- Gives back the lease of who makes a new answer, if it is still theirs.
--
-- KEYS[1]  the lease: a string, the holder's token, gone when it has ended
-- ARGV[1]  the token of who gives it back
-- ARGV[2]  how long the lease goes on, milliseconds; 0: it ends now
-- Reply:   1 if it was theirs, else 0

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return 1
