"""`store config`: every option there is, with its value and where that came from."""

from rich.table import Table
from rich.text import Text

from store.cli.arguments import ConfigFile, SetOptions, configure
from store.cli.output import JsonFlag, print_json, stdout
from store.config import SECTIONS, Setting


def show_config(config: ConfigFile = None, set_: SetOptions = None, json: JsonFlag = False) -> None:  # noqa: FBT002  # A flag.
    """Print every option: its value, where that was set, unit, default, meaning and trade-off."""
    settings = configure(config, set_).settings
    if json:
        for setting in settings:
            print_json(_line(setting))
        return
    for section in SECTIONS:
        mine = [each for each in settings if each.option.section == section]
        table = Table(title=f"[{section}]", title_justify="left", title_style="bold", show_lines=True, expand=True)
        table.add_column("option", no_wrap=True)
        table.add_column("value, unit, default, from", overflow="fold", ratio=1)
        table.add_column("what it is", ratio=2)
        for setting in mine:
            table.add_row(*_cells(setting))
        stdout.print(table)


def _cells(setting: Setting) -> tuple[Text, Text, Text]:
    option, is_set = setting.option, setting.source != "default"
    lines = [(setting.text or '""', "bold" if is_set else ""), (option.unit, "dim")]
    if is_set:
        lines.append((f"default {option.default_text}", "dim"))
    lines.append((setting.source, "bold" if is_set else "dim"))
    value = Text("\n").join(Text(text, style=style) for text, style in lines)
    return Text(option.name, style="bold" if is_set else ""), value, Text(option.doc)


def _line(setting: Setting) -> dict[str, str]:
    option = setting.option
    return {
        "option": option.key,
        "value": setting.text,
        "from": setting.source,
        "unit": option.unit,
        "default": option.default_text,
        "variable": option.variable,
        "doc": option.doc,
    }
