"""Random ids: the same draws as moto's, in a third of the time."""

import string

from moto.moto_api._internal.moto_random import MotoRandom

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Replaces the random strings, of which each answer of an API has one."""
    patches.set(MotoRandom, "get_random_string", random_string)


def random_string(
    generator: MotoRandom, length: int = 20, include_digits: bool = True, lower_case: bool = False
) -> str:
    """Returns letters and digits, drawn as ``random.choice`` draws them one by one."""
    pool = string.ascii_letters + (string.digits if include_digits else "")
    size = len(pool)
    bits, draw = size.bit_length(), generator.getrandbits
    drawn = list[str]()
    while len(drawn) < length:
        number = draw(bits)
        if number < size:
            drawn.append(pool[number])
    text = "".join(drawn)
    return text.lower() if lower_case else text
