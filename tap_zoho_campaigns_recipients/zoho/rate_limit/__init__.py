"""How many calls may be sent, and when: one budget for all that use the same Zoho account.

Zoho's documentation: an endpoint is locked for 30 minutes after 500 calls in 5 minutes. So calls
are counted before they are sent, per endpoint, in a sliding window, and in a place that all runs
of the account can see:

- On one machine in SQLite, which every Python has. ``BEGIN IMMEDIATE`` makes looking and counting
  one step for all processes, and a killed process leaves nothing behind. Calls are numbered, so
  that the call that must leave the window first is found by its number, however many there are.
- In memory likewise, in a database without a file.
- On Redis in a script, which is one step too. It uses Redis's time, the only time that several
  machines share.

pyrate-limiter 4.5, the best kept of the libraries, was tried first and measured. Its
``SQLiteBucket`` looks and counts in two steps, unless under the lock of a second file that costs
as much again, and counts the whole window for each call. Its ``RedisBucket`` overlooks the calls of
a machine whose clock is ahead, and fails for good when Redis was restarted. The library `limits`
has no file store, and on Redis it uses the time of the caller too.
"""
