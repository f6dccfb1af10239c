"""What this machine's processor is called, and whether it has instructions that make int8 fast."""

import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_OF_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """Its name where Linux tells it, else its kind."""
    return _field(cpuinfo, "model name") or platform.processor() or platform.machine()


def has_int8_dot_products(cpuinfo: Path = _CPUINFO) -> bool | None:
    """Whether it has VNNI, AMX or ARM's dot products; None where the system does not say."""
    flags = _field(cpuinfo, "flags") or _field(cpuinfo, "Features")
    return bool(_OF_INT8 & set(flags.split())) if flags else None


def _field(cpuinfo: Path, name: str) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")
