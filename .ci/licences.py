"""Check the licences of all that an installation brings: `python .ci/licences.py SBOM.json ENVIRONMENT`.

The list of components (CycloneDX) comes from an environment that holds the wheel and what it needs, no extras. Each licence must
be among those allowed, or its component be named here with a reason; so must each shared library that wheels carry along,
whose licence no metadata tells. A component or library that nobody named fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from license_expression import AND, LicenseSymbol, LicenseWithExceptionSymbol, get_spdx_licensing

ALLOWED = {
    *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0"),
    *("ISC", "MIT", "MIT-0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib"),
    # the licence of the GNU run-time libraries: what is linked with them may have any licence
    *("GPL-3.0-or-later WITH GCC-exception-3.1", "GPL-3.0-only WITH GCC-exception-3.1"),
}

#: Names that metadata uses instead of SPDX identifiers.
NAMES = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
}

#: Component -> its licence and why it may stay, where the metadata says nothing or the licence is not in ALLOWED.
COMPONENTS = {
    "protobuf": ("BSD-3-Clause", "says so in its LICENSE file and in no field; onnxruntime needs it"),
    "soxr": ("LGPL-2.1-or-later", "a package by itself, imported unchanged and free to be replaced: more is not asked"),
}

#: Start of a shared library's name -> its licence and why it may stay.
LIBRARIES = {
    "libgfortran-": (
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "run-time library of the Fortran compiler; numpy, scipy",
    ),
    "libquadmath-": ("LGPL-2.1-or-later", "run-time library of the Fortran compiler, linked dynamically; numpy, scipy"),
    "libgomp-": ("GPL-3.0-or-later WITH GCC-exception-3.1", "run-time library for OpenMP; scikit-learn, xgboost"),
    "libscipy_openblas": ("BSD-3-Clause", "OpenBLAS, with the Fortran run-time library beside it; numpy, scipy"),
    "libsndfile_": ("LGPL-2.1-or-later", "loaded by soundfile at run time and free to be replaced"),
    "libllvmlite": ("Apache-2.0 WITH LLVM-exception", "LLVM, of llvmlite"),
    "libxgboost": ("Apache-2.0", "of xgboost"),
    "libonnxruntime": ("MIT", "of onnxruntime"),
    "libarrow": ("Apache-2.0", "of pyarrow"),
    "libparquet": ("Apache-2.0", "of pyarrow"),
}

_SPDX = get_spdx_licensing()


def allowed(expression: str) -> bool:
    """Whether an SPDX expression can be met with allowed licences: any side of an OR, both of an AND."""
    return _allowed(_SPDX.parse(expression, validate=True))


def _allowed(tree: Any) -> bool:
    if isinstance(tree, (LicenseSymbol, LicenseWithExceptionSymbol)):
        return tree.render() in ALLOWED
    met = [_allowed(part) for part in tree.args]
    return all(met) if isinstance(tree, AND) else any(met)


def said(component: dict[str, Any]) -> list[str]:
    """The licences that a component's metadata gives, as SPDX where that can be."""
    found = []
    for entry in component.get("licenses") or []:
        text = entry.get("expression") or entry["license"].get("id") or entry["license"].get("name", "")
        found.append(NAMES.get(text, text))
    return found


def faults(components: list[dict[str, Any]], libraries: list[str]) -> list[str]:
    """Components and libraries that may not stay, and names in the tables that nothing has."""
    found = []
    for component in components:
        name, licences = component["name"], said(component)
        if name in COMPONENTS:
            continue
        if not licences:
            found.append(f"{name}: its metadata names no licence; find it and add it to COMPONENTS in {__file__}")
        for licence in licences:
            try:
                if not allowed(licence):
                    found.append(f"{name}: {licence} is not allowed; use another library, or make it an extra")
            except Exception as error:  # whatever the parser cannot read is refused
                found.append(f"{name}: {licence!r} is no SPDX licence ({error}); add it to NAMES or COMPONENTS")
    found += [
        f"{path}: a shared library that nobody named; find its licence and add it to LIBRARIES in {__file__}"
        for path in libraries
        if not Path(path).name.startswith(tuple(LIBRARIES))
    ]
    gone = set(COMPONENTS) - {component["name"] for component in components}
    found += [f"{name}: in COMPONENTS and no longer installed; remove it" for name in sorted(gone)]
    return found


def shared_libraries(environment: Path) -> list[str]:
    """Shared libraries of an environment that are no extension modules: what wheels carry along."""
    site = next(environment.glob("lib/python3*/site-packages"))
    found = []
    for path in sorted(site.rglob("*.so*")):
        module = path.name.endswith(".so") and (".cpython-" in path.name or ".abi3." in path.name)
        with path.open("rb") as file:
            if not module and file.read(4) == b"\x7fELF":
                found.append(path.relative_to(site).as_posix())
    return found


def main() -> None:
    sbom, environment = Path(sys.argv[1]), Path(sys.argv[2])
    components = json.loads(sbom.read_text(encoding="utf-8"))["components"]
    libraries = shared_libraries(environment)
    if wrong := faults(components, libraries):
        sys.exit("\n".join(wrong))
    for table in (COMPONENTS, LIBRARIES):
        for name, (licence, reason) in table.items():
            print(f"{name:<20} {licence}: {reason}")
    print(f"{len(components)} components and {len(libraries)} libraries have licences that are allowed; list: {sbom}")


if __name__ == "__main__":
    main()
