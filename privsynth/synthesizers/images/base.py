"""Synthesizers of images: a table of what is known of each, and a generator given that, under one budget."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.errors import ParameterError, SchemaError
from privsynth.io.image_files import ImageSource, OpenedImages
from privsynth.models.tables.fitting import FitOptions
from privsynth.privacy.curator import Curator
from privsynth.records.conform import OnViolation, Records
from privsynth.records.images import conform_images, open_labelled
from privsynth.sampling.image_model import ImageGenerator, ImageModel, check_cells, image_conditions
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.base import Synthesizer
from privsynth.synthesizers.contract import Progress
from privsynth.synthesizers.images.measurements import Cells
from privsynth.synthesizers.images.prototypes import PrototypeSettings
from privsynth.synthesizers.images.sampler import ImageSampler
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings, fit_marginals

TABLE, GENERATOR = "table/", "image/"  # prefixes of arrays in a model file


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Public settings that every image recipe has.

    Attributes:
        table_share: Of ``mu**2``, for the table of the columns; what it does not need goes to the images.
        table: How that table is learnt.
        prototypes: How prototypes of the images are learnt.
    """

    table_share: float = 0.05
    table: MarginalSettings = field(
        default_factory=lambda: MarginalSettings(fit=FitOptions(n_components=512), norm_factor=None)
    )
    prototypes: PrototypeSettings = field(default_factory=PrototypeSettings)

    def __post_init__(self) -> None:
        if not 0 < self.table_share < 1:
            raise ParameterError(f"expected 0 < table_share < 1, got {self.table_share!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        table = MarginalSettings.from_dict(fields["table"])
        prototypes = PrototypeSettings.from_dict(fields["prototypes"])
        return cls(**{**fields, "table": table, "prototypes": prototypes})


def planned_table(
    schema: Schema, settings: ImageSettings, mu_squared: float, n_rows: int
) -> list[dict[str, Any]]:
    """Return what the table of the columns would release, as `privsynth plan` tells it; public."""
    part = Spend(settings.table_share * mu_squared, 0.0)
    steps = MarginalSynthesizer.plan_for(schema, settings.table, part, n_rows).steps
    return [{**step, "share": step["share"] * settings.table_share} for step in steps]


class ImageSynthesizer(ImageSampler, Synthesizer[ImageModel]):
    """Fit labelled images under a budget; sample them, conditioned at will on their labels.

    The columns of the schema are learnt like any table; images are learnt given target and groups, or, if the
    schema names none, given all discrete columns.

    Args and attributes are those of `Synthesizer`.
    """

    schema_: Schema

    @abstractmethod
    def _generator(
        self,
        curator: Curator,
        table: TableModel,
        cells: Cells,
        settings: Any,
        *,
        seed: int,
        device: str,
        progress: Progress,
    ) -> ImageGenerator:
        """Take what the recipe needs with all that is left, fit, and return the generator.

        Privacy:
            Accounted: by the curator, release by release; everything else is post-processing.
        """

    @staticmethod
    @abstractmethod
    def _generator_from(schema: Schema, settings: Any, arrays: dict[str, NDArray[Any]]) -> ImageGenerator:
        """Rebuild a generator from its arrays."""

    def _make(
        self, curator: Curator, settings: Any, *, seed: int, device: str, progress: Progress
    ) -> ImageModel:
        schema = curator.schema
        assert schema.image is not None
        fitted = fit_marginals(
            curator,
            settings.table,
            seed=seed,
            device=device,
            progress=progress,
            share=settings.table_share,
            delta_share=self.discovery_delta_share,
        )
        table = fitted.first.table_model(schema, fitted.mixture)
        columns = tuple(column.name for column in image_conditions(schema))
        cells = Cells(table.domains, columns, schema.image)
        check_cells(cells.sizes)
        generator = self._generator(
            curator, table, cells, settings, seed=seed, device=device, progress=progress
        )
        return ImageModel(table, generator)

    discovery_delta_share = 1.0  # of the delta that adds up; gradient steps need some of it

    def _open(self, source: ImageSource, schema: Schema) -> OpenedImages:
        return open_labelled(source, schema)

    def _read(self, opened: OpenedImages, schema: Schema, on_violation: OnViolation) -> Records:
        return conform_images(opened, schema, on_violation=on_violation)

    @staticmethod
    def _arrays_of(model: ImageModel) -> dict[str, NDArray[Any]]:
        table = {TABLE + name: array for name, array in model_arrays(model.table).items()}
        return table | {GENERATOR + name: array for name, array in model.generator.to_arrays().items()}

    @staticmethod
    def _facts_of(model: ImageModel) -> dict[str, Any]:
        return model_facts(model.table)

    @classmethod
    def _model_from(
        cls, settings: Any, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> ImageModel:
        def under(prefix: str) -> dict[str, NDArray[Any]]:
            return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

        table = model_from(facts, under(TABLE), Schema.from_dict(facts["schema"]))
        if table.schema.image is None:
            raise SchemaError("the schema of the model has no image")
        columns = tuple(column.name for column in image_conditions(table.schema))
        generator = under(GENERATOR)
        _check_cells(generator, Cells(table.domains, columns, table.schema.image).n)
        return ImageModel(table, cls._generator_from(table.schema, settings, generator))


def _check_cells(generator: Mapping[str, NDArray[Any]], n: int) -> None:
    """Raise ValueError unless a generator has the cells of its table: more would ask for any memory."""
    used = [generator[name] for name in ("cells", "start/cells") if name in generator]
    n_said = int(generator["n_cells"][0]) if "n_cells" in generator else n
    if n_said != n or not all(np.array_equal(np.unique(cells), np.arange(n)) for cells in used):
        raise ValueError("a generator of other cells")
