"""A bundle: everything that carries a SOC policy onto CC4, in one folder of JSON and safetensors.

    bundle.json           name, carried policy, assignment, mapper, layouts, provenance, digests of the other files
    tensors.safetensors   projections, codecs, and the weights of a learned mapper
    policy/               the carried policy's own files, if it has any

A bundle holds no code. What it was made for is written as digests of all layouts, and another layout is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

import cage4.observations.flat as observation
import cage4.observations.rich as rich
import cage4.spec as spec
import native_sim.soc.spec as soc
from adapters.assignment import get_assignment
from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.cc4.carrier import Carrier, LinearMap
from adapters.cc4.mapper_linear import LinearMapper
from adapters.cc4.mapper_table import Mapper, MapperConfig, TableMapper
from adapters.cc4.policy import TransferredPolicy
from adapters.codec import Codec
from native_sim.api import FloatArray, Layout, Policy
from native_sim.names import check_name
from native_sim.storage.files import read_json
from native_sim.storage.seals import is_intact, sealed
from native_sim.storage.tensors import read_tensors
from native_sim.storage.writing import write_atomically

FORMAT: Final = 1
"""Version of the folder; raised when an older reader would misread it."""
INDEX, TENSORS, POLICY = "bundle.json", "tensors.safetensors", "policy"
PREFIX: Final = "bundle:"
"""Begins the name of a policy that is a bundle."""
PACKAGED: Final = Path(__file__).resolve().parent / "bundles"
"""Bundles that ship with the package; each may be named without its path."""
MakeCarried = Callable[[Mapping[str, Any], Path], Policy]
"""Makes the carried policy from its description and the bundle's folder."""


class BundleError(ValueError):
    """A folder that is no bundle, or one made for something else; one sentence."""


@dataclass(frozen=True)
class Bundle:
    """A carried policy with its projections, mapper, assignment and codecs.

    Raises:
        BundleError: If a shape does not fit the layouts, or a number is not finite.
    """

    name: str
    carried: Mapping[str, Any]
    """Which policy is carried, such as {"kind": "scripted", "name": "adaptive"}."""
    hosts: LinearMap
    zones: LinearMap
    segment_codec: Codec
    directive_codec: Codec
    usual_directive: FloatArray
    """[8] mean directive on the calibration episodes, for the control that plays it all the time."""
    assignment: str = "natural"
    mapper: MapperConfig = field(default_factory=MapperConfig)
    mapper_weights: FloatArray | None = None
    """Weights of the learned mapper; None for the table."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Episodes, seeds, policies and scores of the calibration, and whether true state was used."""

    def __post_init__(self) -> None:
        try:
            check_name("the name of a bundle", self.name)
        except ValueError as error:
            raise BundleError(str(error)) from error
        for name, (shape, value) in _expected(self).items():
            if np.shape(value) != shape or not np.isfinite(value).all():
                raise BundleError(
                    f"{name} of a bundle must be finite numbers of shape {shape}; given {np.shape(value)}"
                )
        get_assignment(self.assignment)

    def policy(
        self, make_carried: MakeCarried, folder: Path = Path(), directive: FloatArray | None = None
    ) -> TransferredPolicy:
        """Return the policy for CC4; ``directive`` as in :class:`adapters.cc4.carrier.Carrier`."""
        carried = make_carried(self.carried, folder)
        mapper: Mapper = TableMapper(self.mapper)
        if self.mapper_weights is not None:
            mapper = LinearMapper(self.mapper, self.mapper_weights)
        return TransferredPolicy(carried, self.carrier(directive), mapper)

    def carrier(self, directive: FloatArray | None = None) -> Carrier:
        """Return what shows CC4 in SOC terms."""
        assignment = get_assignment(self.assignment)
        return Carrier(self.hosts, self.zones, assignment, self.segment_codec, self.directive_codec, directive)

    def describe(self) -> str:
        """Return what it is and where it comes from, in a few lines."""
        mapper = "table" if self.mapper_weights is None else "learned"
        settings = ", ".join(f"{name} {_words(value)}" for name, value in asdict(self.mapper).items())
        lines = [
            f"bundle {self.name}: carries {_words(self.carried)}",
            f"assignment {self.assignment}, {mapper} mapper ({settings})",
            *(f"{name}: {_words(value)}" for name, value in self.provenance.items()),
        ]
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write the folder; a carried policy's own files must already lie in ``folder/policy``.

        Raises:
            BundleError: If the folder cannot be written.
        """
        from safetensors.numpy import save as save_tensors  # not needed to play

        try:
            folder.mkdir(parents=True, exist_ok=True)
            tensors = save_tensors({name: np.ascontiguousarray(value) for name, (_, value) in _expected(self).items()})
            write_atomically(folder / TENSORS, tensors)
            document = {
                "format": FORMAT,
                "name": self.name,
                "carried": dict(self.carried),
                "assignment": self.assignment,
                "mapper": asdict(self.mapper),
                "layouts": layout_digests(),
                "files": _digests(folder),
                "provenance": dict(self.provenance),
            }
            write_atomically(folder / INDEX, json.dumps(sealed(document), indent=2) + "\n")
        except OSError as error:
            raise BundleError(f"bundle {folder} cannot be written ({error.strerror}); choose another folder") from error

    def with_assignment(self, name: str) -> Bundle:
        """Return the same bundle under another assignment."""
        return replace(self, assignment=name)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    Raises:
        BundleError: One sentence: a file is missing or damaged, or the bundle was made for other layouts.
    """
    document = _read_index(folder)
    different = [name for name, digest in layout_digests().items() if document["layouts"].get(name) != digest]
    if different:
        raise BundleError(f"bundle {folder} was made for another layout of {different[0]}; calibrate it again")
    _check_files(folder, document)
    try:
        tensors = read_tensors((folder / TENSORS).read_bytes())
        parts = {name: tensors[name].astype(np.float64) for name in _TENSOR_NAMES}
        return Bundle(
            name=str(document["name"]),
            carried=dict(document["carried"]),
            hosts=LinearMap(parts["hosts.coef"], parts["hosts.intercept"]),
            zones=LinearMap(parts["zones.coef"], parts["zones.intercept"]),
            segment_codec=Codec(*(parts[f"segment_codec.{name}"] for name in Codec._fields)),
            directive_codec=Codec(*(parts[f"directive_codec.{name}"] for name in Codec._fields)),
            usual_directive=parts["usual_directive"],
            assignment=str(document["assignment"]),
            mapper=MapperConfig(**{"watch": False, **document["mapper"]}),  # older bundles know no watch
            mapper_weights=tensors.get("mapper_weights"),
            provenance=dict(document["provenance"]),
        )
    except BundleError as error:
        raise BundleError(f"bundle {folder} is damaged: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"bundle {folder} is damaged ({error}); restore it or calibrate again") from error


def bundle_folder(name: str) -> Path:
    """Return the folder that a packaged name or a path means, ``@CONTROL`` left aside; it need not be there."""
    path = Path(name.removeprefix(PREFIX).partition("@")[0])
    packaged = PACKAGED / path
    return packaged if not path.exists() and packaged.is_dir() else path


def bundle_files(folder: Path) -> list[Path]:
    """Return the files of the bundle in a folder, its index first; other files that lie there do not belong to it."""
    return [folder / INDEX, *(folder / name for name in sorted(_read_index(folder)["files"]))]


def layout_digests() -> dict[str, str]:
    """Return name -> digest of every layout that a bundle's numbers refer to."""
    layouts = {
        "SOC observations": [soc.OBSERVATIONS[role] for role in soc.AGENTS],
        "SOC actions": [soc.ACTIONS[role] for role in soc.AGENTS if role in soc.ACTIONS],
        "CC4 observations": [rich.HEADER, rich.HOST, observation.BLOCK],
        "CC4 features": [features.HOST, features.ZONE],
        "SOC terms": [terms.HOST_TERMS, terms.ZONE_TERMS],
    }
    texts = {name: "\n".join(map(_layout_text, parts)) for name, parts in layouts.items()}
    texts["CC4 actions"] = repr((spec.NUM_ACTIONS, [verb.name for verb in spec.Verb], spec.BLUE_SUBNETS))
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in texts.items()}


def _layout_text(layout: Layout) -> str:
    return f"{layout.name}: " + "; ".join(f"{f.name} {f.start} {f.shape} {f.low} {f.high}" for f in layout)


_TENSOR_NAMES: Final = (
    "hosts.coef",
    "hosts.intercept",
    "zones.coef",
    "zones.intercept",
    *(f"{codec}.{part}" for codec in ("segment_codec", "directive_codec") for part in Codec._fields),
    "usual_directive",
)


def _expected(bundle: Bundle) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Return tensor name -> (shape, value)."""
    host_terms, zone_terms = terms.HOST_TERMS.size, terms.ZONE_TERMS.size
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        "hosts.coef": ((features.HOST.size, host_terms), bundle.hosts.coef),
        "hosts.intercept": ((host_terms,), bundle.hosts.intercept),
        "zones.coef": ((features.ZONE.size, zone_terms), bundle.zones.coef),
        "zones.intercept": ((zone_terms,), bundle.zones.intercept),
        "usual_directive": ((soc.DIRECTIVE_SIZE,), bundle.usual_directive),
    }
    for name, codec in (("segment_codec", bundle.segment_codec), ("directive_codec", bundle.directive_codec)):
        expected |= {f"{name}.{part}": ((8,), value) for part, value in codec._asdict().items()}
    if bundle.mapper_weights is not None:
        expected["mapper_weights"] = (LinearMapper.SHAPE, bundle.mapper_weights)
    return expected


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        document = read_json(folder / INDEX)
    except FileNotFoundError:
        raise BundleError(f"{folder} is not a bundle (it has no {INDEX}); give a folder that calibrate wrote") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / INDEX} cannot be read ({error}); restore it or calibrate again") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise BundleError(f"bundle {folder} has format {found!r}, and this version reads {FORMAT}; calibrate it again")
    kinds = {
        "name": str,
        "carried": dict,
        "assignment": str,
        "mapper": dict,
        "layouts": dict,
        "files": dict,
        "provenance": dict,
    }
    for name, kind in kinds.items():
        if not isinstance(document.get(name), kind):
            raise BundleError(f"{folder / INDEX} is damaged (no {name}); restore it or calibrate again")
    if not is_intact(document):
        raise BundleError(f"{folder / INDEX} was changed since it was written; restore it or calibrate again")
    index: dict[str, Any] = document
    return index


def _digests(folder: Path) -> dict[str, str]:
    """Return relative path -> digest of every file of a bundle but its index."""
    files = [path for path in (folder / TENSORS, *sorted((folder / POLICY).rglob("*"))) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _check_files(folder: Path, document: Mapping[str, Any]) -> None:
    """Refuse a bundle of whose files one is lost, changed, or not listed in the index."""
    recorded = document["files"]
    is_trained = document["carried"].get("kind") == "trained"
    present = {name for name in _digests(folder) if not Path(name).name.startswith(".")} | {TENSORS}
    unlisted = sorted(present - set(recorded)) or [POLICY] * (is_trained and not _of_policy(recorded))
    if unlisted:
        raise BundleError(f"{folder / INDEX} is damaged (it lists no {unlisted[0]}); restore it or calibrate again")
    for name, digest in recorded.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BundleError(f"{folder / INDEX} is damaged (it lists {name}, which lies elsewhere); restore it")
        if not path.is_file():
            raise BundleError(f"bundle {folder} has lost its file {name}; restore it or calibrate again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise BundleError(f"file {name} of bundle {folder} was changed; restore it or calibrate again")


def _of_policy(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(f"{POLICY}/")]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return " ".join(_words(part) for part in value)
    return str(value)
