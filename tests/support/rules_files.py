"""Rules files that several tests read."""

BETS = """\
teams: {"acme/*": growth}
rules:
  - name: a bet
    when: {provider: github, label: bet}
    then: {declare: {experiment: true}}
"""
"""Issues with the label `bet` are experiments, and repositories of `acme` belong to the team `growth`."""
