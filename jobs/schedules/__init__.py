"""When is a schedule's next tick? Rules, time zones and missed ticks: functions of values, no I/O."""
