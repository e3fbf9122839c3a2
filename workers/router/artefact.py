"""The trained router as bytes, written and read with skops: numbers and strings only, no code.

AskfleetError
└── PermanentError
    └── ArtefactRefused     not an artefact of ours, or one that this release can't use
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from contracts.errors import PermanentError
from workers.router.calibration import Calibration
from workers.router.evidence import EVIDENCE_NAMES
from workers.router.features import FEATURE_VERSION, FORM_NAMES
from workers.router.forest import Forest
from workers.router.model import CLASSES, RouterModel, Stage
from workers.router.ngrams import BUCKETS, NgramScorer

FORMAT = "askfleet-router/1"
TRUSTED: tuple[str, ...] = ()
"""Types beyond skops' own list of harmless ones: none, an artefact is arrays, numbers and strings."""

Arrays = Mapping[str, npt.NDArray[np.generic]]


class ArtefactRefused(PermanentError):
    code = "artefact-refused"
    title = "The router's model can't be used"
    remedy = "Train it again with `askfleet router train`."


@dataclass(frozen=True)
class _Stored:
    """What lies in the file: a description in JSON and arrays by name."""

    description: str
    arrays: dict[str, npt.NDArray[np.generic]]


def dump(model: RouterModel) -> bytes:
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "ngrams.rarity": model.ngrams.rarity.astype(np.float16),
        "ngrams.weights": model.ngrams.weights.astype(np.float16),
        "ngrams.offset": model.ngrams.offset,
    }
    stages = {"text": model.text, "grounded": model.grounded}
    for name, stage in stages.items():
        arrays |= {f"{name}.{key}": array for key, array in stage.forest.arrays().items()}
        arrays |= {f"{name}.slope": stage.calibration.slope, f"{name}.offset": stage.calibration.offset}
    description = {
        "format": FORMAT,
        "features": _features(),
        "version": model.version,
        "fingerprint": model.fingerprint,
        "created": model.created,
        "metrics": model.metrics,
        "depth": {name: stage.forest.depth for name, stage in stages.items()},
        "threshold": {name: stage.threshold for name, stage in stages.items()},
    }
    stored = {"description": json.dumps(description), "arrays": arrays}
    return bytes(skops.io.dumps(stored, compression=zipfile.ZIP_DEFLATED))


def load(raw: bytes) -> RouterModel:
    """Read what `dump` wrote.

    Raises:
        ArtefactRefused: not a skops file, one that holds other types, or one made for other features.
    """
    stored = _open(raw)
    try:
        description = json.loads(stored.description)
        if description["format"] != FORMAT or description["features"] != _features():
            raise ArtefactRefused(
                f"The artefact is {description['format']!r} with other features than this release's."
            )
        return RouterModel(
            version=description["version"],
            ngrams=_ngrams(stored.arrays),
            text=_stage(stored.arrays, "text", description),
            grounded=_stage(stored.arrays, "grounded", description),
            fingerprint=description["fingerprint"],
            created=description["created"],
            metrics=description["metrics"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactRefused(
            f"The artefact lacks a part or holds it in another shape: {error!r}."
        ) from error


def _open(raw: bytes) -> _Stored:
    try:
        unknown = skops.io.get_untrusted_types(data=raw)
        if set(unknown) - set(TRUSTED):
            raise ArtefactRefused(f"The artefact holds types that are not trusted: {', '.join(unknown)}.")
        found = skops.io.loads(raw, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise ArtefactRefused(f"The artefact holds types that are not trusted: {error}.") from error
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ArtefactRefused(f"{len(raw)} bytes are not a skops file: {error!r}.") from error
    if not isinstance(found, dict) or not {"description", "arrays"} <= found.keys():
        raise ArtefactRefused("The skops file is not a router artefact.")
    return _Stored(found["description"], found["arrays"])


def _features() -> str:
    """Names what the forests were trained on; another list of features needs another forest."""
    return f"{FEATURE_VERSION}:{len(FORM_NAMES)}:{len(EVIDENCE_NAMES)}:{BUCKETS}:{','.join(CLASSES)}"


def _ngrams(arrays: Arrays) -> NgramScorer:
    return NgramScorer(
        rarity=arrays["ngrams.rarity"].astype(np.float32),
        weights=arrays["ngrams.weights"].astype(np.float32),
        offset=arrays["ngrams.offset"].astype(np.float32),
    )


def _stage(arrays: Arrays, name: str, description: Mapping[str, Mapping[str, float]]) -> Stage:
    own = {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
    return Stage(
        forest=Forest.from_arrays(own, int(description["depth"][name])),
        calibration=Calibration(own["slope"].astype(np.float64), own["offset"].astype(np.float64)),
        threshold=float(description["threshold"][name]),
    )
