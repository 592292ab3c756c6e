"""The generated table of the vocabulary: each act and each field, with its words in every channel."""

from collections.abc import Iterator, Mapping

from service.lifecycle.acts import ACTS, COMMANDS, FIELD_COMMANDS, STATED_FIELDS, Act, ActName
from service.lifecycle.fields import DATA_PROPERTIES, FieldName
from service.rules.model import DeclareAction, InstantAction, Rule
from tests.support.road import RULES

_NONE = "(none)"
_ACT_OF: Mapping[FieldName, ActName] = {
    "experiment": "proposed",
    **{field: act for act, field in STATED_FIELDS.items()},
}
_FIELDS: tuple[FieldName, ...] = ("title", "url", "team", "risk", "outcome", "failure_category")


def acts_table() -> str:
    """The table of acts and of the fields that *described* sets."""
    rows = [_act_row(name, act) for name, act in ACTS.items() if name != "described"]
    rows += [_field_row(field) for field in _FIELDS]
    head = "| act or field | meaning | label | comment | API, CloudEvents | action of a rule |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _act_row(name: ActName, act: Act) -> str:
    comment = f"`/experiment {act.usage}`"
    return _row(name, act.meaning, _labels(name), comment, f"`{name}`{_data(act)}", " or ".join(_actions(name, act)))


def _data(act: Act) -> str:
    shown = ", ".join(f"`{argument.name}`" for argument in act.arguments)
    return f" with {shown}" if shown else ""


def _actions(name: ActName, act: Act) -> Iterator[str]:
    if name == "proposed":
        yield "`proposed` for the idea, `{declare: {experiment: true}}` for the mark"
        return
    required = act.missing("rules", {})
    if not required:
        yield f"`{name}`"
    if name == "excluded":
        yield "`{excluded: <reason>}`"
    elif act.arguments:
        yield f"`{{{name}: <{act.arguments[0].name}>}}`"


def _field_row(field: FieldName) -> str:
    data = DATA_PROPERTIES[field]
    means = ", ".join(f"`{choice}`" for choice in data.choices) or data.expects
    command = next((f"`/experiment {name} <{name}>`" for name, one in FIELD_COMMANDS.items() if one == field), "")
    if field == "risk":
        command += "".join(f" or `/experiment {choice}`" for choice in data.choices)
    commands = [act.usage for name, act in ACTS.items() if name in COMMANDS.values() and _takes(act, field)]
    command = command or " or ".join(f"`/experiment {usage}`" for usage in commands)
    label = ", ".join(f"`{text}`" for rule in _rules() for text in _texts(rule) if field in _declared(rule))
    return _row(data.name, means, label, command, f"`{data.name}` of any act", f"`{{declare: {{{field}: …}}}}`")


def _takes(act: Act, field: FieldName) -> bool:
    return any(argument.field == field for argument in act.arguments)


def _labels(name: ActName) -> str:
    """The labels of the default rules that state an act."""
    found = [text for rule in _rules() for text in _texts(rule) if name in _acts(rule)]
    return ", ".join(f"`{text}`" for text in dict.fromkeys(found))


def _rules() -> list[Rule]:
    return list(RULES.by_kind["labelled"])


def _texts(rule: Rule) -> list[str]:
    patterns = [one for condition in rule.conditions if condition.trait == "label" for one in condition.patterns]
    return [one.text.replace("{", "<").replace("}", ">") for one in patterns]


def _declared(rule: Rule) -> set[FieldName]:
    return {action.field for action in rule.actions if isinstance(action, DeclareAction)}


def _acts(rule: Rule) -> set[str]:
    instants = {action.name for action in rule.actions if isinstance(action, InstantAction)}
    return {*instants, *(_ACT_OF[field] for field in _declared(rule) if field in _ACT_OF)}


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell or _NONE for cell in cells)} |"
