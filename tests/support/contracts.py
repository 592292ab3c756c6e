"""An import contract for packages that may import the listed external modules only."""

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedContract(Contract):
    """A contract for packages that may import only the listed external modules.

    The project allows modules that do no I/O. If it forbade modules instead, it would have to list every module that
    does I/O.

    Attributes:
        source_modules: the packages; the contract applies to every module in them.
        allowed_modules: the top-level names of the modules that the packages may import.
    """

    type_name = "allowed"

    source_modules: Any = fields.ListField(subfield=fields.ModuleField())
    allowed_modules: Any = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - import-linter passes both arguments
        own = {root.split(".")[0] for root in self.session_options["root_packages"]}
        broken = [
            (module, imported)
            for source in self.source_modules
            for module in sorted({source.name, *graph.find_descendants(source.name)})
            for imported in sorted(graph.find_modules_directly_imported_by(module))
            if imported.split(".")[0] not in self.allowed_modules | own
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module, imported in check.metadata["broken"]:
            output.print_error(f"{module} is not allowed to import {imported}")
