"""Data sets of the Hugging Face hub: from the library's cache or the network, quick to say if neither has them."""

from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mnas_evo.data.parts import Source, called
from mnas_evo.data.tables import library, table_part
from mnas_evo.errors import UnknownData

_PATIENCE_S = 10


def hub_source(name: str, hub_name: str) -> Source:
    """A data set of the hub, fetched at first use and then kept in the library's cache.

    Raises:
        UnknownData: the hub has none of that name, or it cannot be reached and the cache has none.
    """
    tables = _fetched(name, hub_name)
    found = called(tables)
    if "train" not in found:
        raise UnknownData(f"{name} has no train split, only {', '.join(tables)}; give another set")
    return Source(
        name, tuple(found), lru_cache(maxsize=None)(lambda split: table_part(name, split, tables[found[split]]))
    )


def _fetched(name: str, hub_name: str) -> Any:
    datasets = library()
    if Path(hub_name).exists():
        raise UnknownData(f"{name}: {hub_name} here would be read in its stead; give parquet:DIR, or run elsewhere")
    _go_offline_if_unreachable(datasets, hub_name)
    try:
        return datasets.load_dataset(hub_name)
    except Exception as fault:  # anything from a name the hub lacks to a set of many configurations
        why = " ".join(str(fault).split())[:200]
        if datasets.config.HF_HUB_OFFLINE:
            why = "the hub is out of reach and the cache here has none of that name"
        raise UnknownData(
            f"{name} could not be fetched: {why}; where there is a network: hf download {hub_name} --repo-type dataset "
            "--local-dir DIR, then parquet:FOLDER, the one in DIR that holds train-*.parquet"
        ) from fault


def _go_offline_if_unreachable(datasets: ModuleType, hub_name: str) -> None:
    """One question without retries: the library's own retries take minutes before it looks into its cache."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().dataset_info(hub_name, timeout=_PATIENCE_S)
    except (HfHubHTTPError, HFValidationError):
        return  # the hub is there, or need not be asked; loading says what is wrong with the name
    except Exception:  # of whichever HTTP library the hub's own uses
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
