"""Images and their labels, held against their schema."""

from __future__ import annotations

from privsynth.errors import SchemaError
from privsynth.io.image_files import ImageSource, OpenedImages, open_images
from privsynth.records.conform import OnViolation, Records, check_has_columns, check_on_violation, conform
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import LabelledImages


def read_images(
    source: ImageSource, *, shape: ImageShape, on_violation: OnViolation = "error"
) -> LabelledImages:
    """Read images and their labels.

    Args:
        source: `LabelledImages`; a pair of an array and a table of labels; an ``.npz`` file with an array
            ``images`` and one array for each column; an idx file (``...-images-idx3-ubyte``, with or
            without ``.gz``), its labels beside it under the same name with ``labels-idx1`` and read as the
            column ``label``; or a folder of PNG or JPEG files with a table ``labels.csv`` whose column
            ``file`` names each image, or, without such a table, one subfolder for each value of the column
            ``label``.
        shape: What the schema says of each image.
        on_violation: Whether an image file of another size or mode is an error, or is resized
            (``"clip"``). Arrays hold one size for all, which is no secret of a record: another one is
            always an error.

    Raises:
        TableError: If a file is missing or cannot be read, or arrays are of another kind.
        SchemaError: If the images are of another shape than the schema says.

    Privacy:
        Not private: returns the records themselves. Messages name rules, no file of a folder and no value.
    """
    both = open_images(source).read(shape, clip=on_violation == "clip")
    _check_shape(both.images.shape[1:], shape)
    return both


def open_labelled(source: ImageSource, schema: Schema) -> OpenedImages:
    """Open images and check that they have the labels that their schema describes; reads no record.

    Raises:
        TableError, SchemaError: If they are not there, lack a label, or are known to be of another shape.

    Privacy:
        Public: reads the names of files, arrays and columns, and the shape of arrays.
    """
    if schema.image is None:
        raise SchemaError(
            'the schema describes a table; for images it needs "image": {"height": ..., "width": ..., '
            '"channels": ...}'
        )
    opened = open_images(source, schema)
    if opened.axes is not None:
        _check_shape(opened.axes, schema.image)
    if opened.label_names is not None:
        check_has_columns(opened.label_names, schema, "the label table")
    return opened


def conform_images(source: ImageSource, schema: Schema, *, on_violation: OnViolation = "error") -> Records:
    """Hold images and labels against their schema and return the records in canonical form.

    Args:
        source: As `read_images` takes it.
        schema: What is public; with an image shape, and complete.
        on_violation: As for `privsynth.records.conform.conform` and `read_images`.

    Raises:
        TableError, SchemaError: As those two.

    Privacy:
        Not private: returns the records.
    """
    check_on_violation(on_violation)
    opened = open_labelled(source, schema)
    assert schema.image is not None
    both = read_images(opened, shape=schema.image, on_violation=on_violation)
    records = conform(both.labels, schema, on_violation=on_violation, name="label")
    return Records(records.frame, records.persons, both.images)


def _check_shape(axes: tuple[int, ...], expected: ImageShape) -> None:
    if axes != expected.axes:
        raise SchemaError(
            f"expected images of shape {expected.axes} (height, width, channels) as the schema says, got "
            f"{axes}; mend the schema, or resize the images"
        )
