"""Where the commands print: whole lines, also where no terminal shows them, and names as they are."""

from typing import Final

from rich.console import Console

out: Final = Console(soft_wrap=True, markup=False, highlight=False)
err: Final = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
