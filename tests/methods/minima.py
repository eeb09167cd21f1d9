"""Whether a point is the minimum of a quadratic function, found out without its gradient."""


def is_minimum(value, at, rng, rounds=20):
    """Whether `value`, quadratic and strictly convex, has its minimum at the array `at`.

    Around a minimum, steps forth and back raise a quadratic alike, by the same amount; elsewhere the two differ by
    twice the slope.
    """
    here = value(at)
    for _ in range(rounds):
        step = 0.1 * rng.standard_normal(at.shape)
        forth, back = value(at + step) - here, value(at - step) - here
        if min(forth, back) <= 0 or abs(forth - back) > 1e-5 * (forth + back):
            return False
    return True
