"""Profiles a space in a process of its own, to be killed: python profile_process.py TARGET SPACE TABLE."""

import sys
from pathlib import Path

from mnas_evo.devices.browser import BrowserDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.devices.target import open_device, parse_target
from mnas_evo.latency.runs import Device
from mnas_evo.space.space_file import load_space


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(target: str, space: str, folder: str) -> None:
    device: Device
    if target == "browser, not isolated":
        device = BrowserDevice(say=tell, isolate=False, page_seconds=60.0)
    else:
        device = open_device(parse_target(target), say=tell)
    request = ProfileRequest(load_space(space), networks=10)
    try:
        profile(Path(folder), device, request, target=target, minutes=0.0, progress=lambda share, text: None)
    finally:
        device.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
