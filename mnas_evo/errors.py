"""Every error a user can meet, named by what to do next.

MnasEvoError
├── RequestError            mend the request
│   ├── NotationError       an architecture string that cannot be read
│   ├── SpaceError          a space file or genome that cannot be used
│   ├── UnknownTarget       no such device
│   ├── UnknownData         no such data set
│   ├── OtherWeights        weights that are not those of the network
│   └── Infeasible          the limits leave nothing
├── UnmeasuredOp            measure: a table lacks a row
├── DamagedFile             mend or replace a file; nothing else was touched
├── OtherFormat             a file of another format number
├── RunChanged              a run's pinned inputs differ from those it was started with
├── InUse                   wait: another process works on this folder
├── DeviceError             try again: the device failed
│   └── DeviceGone          it ended, fell silent, or the way to it broke
└── TrainingFailed          this network could not be trained; the others go on
"""


class MnasEvoError(Exception):
    """What is wrong, with which value, and the mend, in one line."""


class RequestError(MnasEvoError):
    """The request cannot be met as it was made."""


class NotationError(RequestError):
    """An architecture string that cannot be read."""


class SpaceError(RequestError):
    """A search space, or a genome of one, that cannot be used."""


class UnknownTarget(RequestError):
    """A device target that names nothing this version can reach."""


class UnknownData(RequestError):
    """A data set that is not there."""


class OtherWeights(RequestError):
    """Weights that are not those of the network; the message lists what is missing, left over or of another shape."""


class Infeasible(RequestError):
    """Limits that no architecture of the space meets; the message gives the nearest feasible value."""


class UnmeasuredOp(MnasEvoError):
    """A row the table lacks; it is never counted as 0 ms."""


class DamagedFile(MnasEvoError):
    """A file that does not hold what its form promises."""


class OtherFormat(MnasEvoError):
    """A file of an older or newer format number."""


class RunChanged(MnasEvoError):
    """A run continued with inputs other than those it was started with."""


class InUse(MnasEvoError):
    """Another process works on the same folder."""


class DeviceError(MnasEvoError):
    """The device failed, refused or went away; what it had measured is kept."""


class DeviceGone(DeviceError):
    """The device ended, fell silent, or the way to it broke; the same plan may be taken up again."""


class TrainingFailed(MnasEvoError):
    """One network's training came to nothing."""
