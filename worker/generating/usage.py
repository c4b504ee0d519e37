"""What a generation costs, over its attempts. Pure."""

Usage = dict[str, object]


def added_usage(before: Usage, now: Usage) -> Usage:
    """Usage over several attempts: counts are added, for each attempt was paid for; anything else is the latest."""
    total = {**before, **now}
    for key, value in now.items():
        earlier = before.get(key)
        if type(value) is int and type(earlier) is int:
            total[key] = value + earlier
    return total
