"""What the flags of `choreai generate` and `choreai train-generator` ask for; no torch is needed to refuse it."""

import argparse

from choreai.errors import ConfigError
from choreai.generate.plan import Plan, steady_beats

KINDS = ("mp4", "bvh", "parquet")
MIN_DANCERS = 2


def check_kinds(named: str) -> tuple[str, ...]:
    """Return the kinds of files named in a list with commas. Raises ConfigError for others."""
    kinds = tuple(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    if unknown := [name for name in kinds if name not in KINDS]:
        raise ConfigError(f"--to has no {', '.join(unknown)}; name some of {', '.join(KINDS)}")
    if not kinds:
        raise ConfigError(f"--to names nothing to write; name some of {', '.join(KINDS)}")
    return kinds


def plan_of(arguments: argparse.Namespace) -> Plan:
    """Return the plan that the flags make. Raises ConfigError for what cannot be danced."""
    styles = tuple(name.strip() for name in arguments.style.split(",") if name.strip())
    beats = steady_beats(arguments.bpm, arguments.seconds)
    return Plan(
        styles, arguments.seconds, beats, count=arguments.count, seed=arguments.seed, guidance=arguments.guidance
    )


def check_training(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for flags of `choreai train-generator` that cannot be meant."""
    for name, least in (("dancers", MIN_DANCERS), ("steps", 1), ("workers", 1)):
        if getattr(arguments, name) < least:
            raise ConfigError(f"--{name} must be at least {least}, got {getattr(arguments, name)}")
    if arguments.seed < 0:
        raise ConfigError(f"--seed must not be negative, got {arguments.seed}")
