"""Prototypes, moments and networks of images: arithmetic against what it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from privsynth.errors import ParameterError
from privsynth.models.images.augmentation import augmented, n_augmentations
from privsynth.models.images.diffusion import DiffusionImages, DiffusionOptions
from privsynth.models.images.gan import GeneratedImages, ImageGan, ImageGanOptions
from privsynth.models.images.mixture import Deformation, ImageMixture
from privsynth.models.images.moments import Spread, low_frequencies, symmetric
from privsynth.models.images.networks import DiscriminatorNetwork
from privsynth.models.images.tensors import one_hot_cells
from privsynth.models.mixing import check_records_do_not_mix
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.schema.image_shape import ImageShape

SHAPE = ImageShape(height=8, width=6, channels=3)
GREY = ImageShape(height=8, width=8)


def mixture(deformation: Deformation | None = None, spread: float = 0.0) -> ImageMixture:
    """Three prototypes: one of cell 0, two of cell 1 with shares of one to three."""
    prototypes = np.zeros((3, SHAPE.n_values), np.float32)
    prototypes[0], prototypes[1], prototypes[2] = 0.2, 0.5, 0.9
    loadings = np.full((1, SHAPE.n_values), spread, np.float32)
    return ImageMixture(
        shape=SHAPE,
        prototypes=prototypes,
        weights=np.array([1.0, 1.0, 3.0]),
        cells=np.array([0, 1, 1]),
        loadings=loadings,
        deformation=deformation or Deformation(),
    )


def test_each_cell_gets_its_own_prototypes_in_their_shares():
    cells = np.repeat([0, 1], [500, 8000])
    drawn = mixture().draw(cells, np.random.default_rng(0))
    assert drawn.shape == (8500, 8, 6, 3)
    assert (drawn[:500] == 51).all()
    first = drawn[500:].reshape(8000, -1)
    assert set(np.unique(first)) == {128, 230}
    assert (first == first[:, :1]).all()
    assert (first[:, 0] == 230).mean() == pytest.approx(0.75, abs=6 * np.sqrt(0.75 * 0.25 / 8000))


def test_images_vary_along_the_loadings_as_widely_as_these_are_long():
    drawn = mixture(spread=0.05).pixels(np.zeros(20_000, dtype=np.int64), np.random.default_rng(0)).numpy()
    assert drawn.std(0) == pytest.approx(0.05, rel=0.03)
    assert np.corrcoef(drawn[:, 0], drawn[:, -1])[0, 1] == pytest.approx(1.0)


def test_deformations_move_what_is_drawn_and_nothing_else():
    image = torch.zeros(200, 1, 9, 9)
    image[:, :, 4, 4] = 1.0
    rng = np.random.default_rng(0)
    assert Deformation().apply(image, rng) is image
    moved = Deformation(shift=1 / 9).apply(image, rng)
    assert moved.sum((1, 2, 3)).numpy() == pytest.approx(1.0, abs=1e-4)
    assert (moved[:, 0, 3:6, 3:6].sum((1, 2)) > 0.999).all()
    assert moved[:, 0, 4, 4].mean() < 0.5
    flat = torch.full((3, 3, 8, 8), 0.7)
    bent = Deformation(degrees=20, shift=0.1, scale=0.2, elastic=0.05).apply(flat, rng)
    assert bent.numpy() == pytest.approx(0.7, abs=1e-5)


@pytest.mark.parametrize("amount", [{"scale": 1.0}, {"degrees": -1.0}, {"shift": float("nan")}])
def test_deformations_out_of_range_are_refused(amount):
    with pytest.raises(ParameterError, match="expected finite amounts >= 0 and scale < 1"):
        Deformation(**amount)


def test_low_frequencies_are_orthonormal_smooth_and_in_each_channel():
    waves = low_frequencies(SHAPE, 30)
    assert waves.shape == (SHAPE.n_values, 30)
    assert np.allclose(waves.T @ waves, np.eye(30))
    constant = np.ones((8, 6)) / np.sqrt(48)
    for channel in range(3):
        image = np.zeros((8, 6, 3))
        image[:, :, channel] = constant
        assert np.linalg.norm(image.ravel() @ waves) == pytest.approx(1.0)
    assert low_frequencies(GREY, 1000).shape == (64, 64)


def test_moments_without_noise_give_the_spread_they_came_from():
    rng = np.random.default_rng(0)
    waves = low_frequencies(GREY, 10)
    root = rng.standard_normal((10, 10))
    spread = Spread.of_moments(waves, root @ root.T, float(np.trace(root @ root.T)) + 5.4, noise_std=1e-9)
    again = spread.directions * spread.variances @ spread.directions.T
    assert np.allclose(again, root @ root.T, atol=1e-6)
    assert spread.rest == pytest.approx(0.1)
    assert np.allclose(
        spread.loadings(1.0).T @ spread.loadings(1.0), waves @ root @ root.T @ waves.T, atol=1e-5
    )


def test_noise_alone_spreads_nothing():
    rng = np.random.default_rng(0)
    upper = rng.standard_normal(64 * 65 // 2)
    noise = symmetric(upper, 64)
    assert np.allclose(noise, noise.T)
    assert noise[0, 1:].std() == pytest.approx(np.sqrt(0.5), rel=0.5)
    spread = Spread.of_moments(low_frequencies(GREY, 64), noise, 0.0, noise_std=np.sqrt(0.5))
    assert spread.variances.sum() < 0.1 * np.abs(np.linalg.eigvalsh(noise)).sum()


def test_shrinking_is_the_posterior_mean():
    """Against the closed form of a Gaussian prior with its full covariance."""
    rng = np.random.default_rng(0)
    waves = low_frequencies(GREY, 12)
    root = rng.standard_normal((12, 12))
    spread = Spread.of_moments(waves, root @ root.T, float(np.trace(root @ root.T)) + 5.2, noise_std=1e-9)
    prior = waves @ root @ root.T @ waves.T + spread.rest * (np.eye(64) - waves @ waves.T)
    noisy, towards = rng.standard_normal((3, 64)), rng.standard_normal((3, 64))
    noise = np.array([0.5, 2.0, 1e-12])
    expected = [
        m + prior @ np.linalg.solve(prior + v * np.eye(64), x - m)
        for x, m, v in zip(noisy, towards, noise, strict=True)
    ]
    assert np.allclose(spread.shrink(noisy, towards, noise), expected, atol=1e-6)


def test_widened_spreads_reach_the_means():
    waves = low_frequencies(GREY, 12)
    narrow = Spread(waves, np.eye(12), np.zeros(12), 0.0)
    far = 3.0 * waves[:, :2].T
    noise = np.full(2, 1e-6)
    wide = narrow.widened(far, np.zeros_like(far), noise)
    assert np.allclose(narrow.shrink(far, np.zeros_like(far), noise), 0.0)
    assert np.allclose(wide.shrink(far, np.zeros_like(far), noise), far, atol=1e-4)


# -- networks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["mlp", "dcgan"])
@pytest.mark.parametrize("shape", [SHAPE, GREY, ImageShape(height=28, width=30)])
def test_a_generator_with_a_start_begins_as_good_as_that(architecture, shape):
    rng = torch.Generator().manual_seed(0)
    start = ImageMixture(
        shape=shape,
        prototypes=np.random.default_rng(0).uniform(0.1, 0.9, (2, shape.n_values)).astype(np.float32),
        weights=np.ones(2),
        cells=np.arange(2),
        loadings=np.zeros((0, shape.n_values), np.float32),
        deformation=Deformation(),
    )
    options = ImageGanOptions(architecture=architecture, generator_width=8, latent_dim=4)
    before = torch.get_rng_state()
    with_start = GeneratedImages.untrained(shape, 2, options, start, rng)
    without = GeneratedImages.untrained(shape, 2, options, None, rng)
    assert torch.equal(before, torch.get_rng_state())
    cells = np.array([0, 1, 1])
    drawn = with_start.pixels(cells, np.random.default_rng(1)).detach().numpy()
    assert np.abs(drawn - start.prototypes[cells]).mean() < 0.03
    assert without.draw(cells, np.random.default_rng(1)).shape == (3, *shape.axes)


@pytest.mark.parametrize("shape", [ImageShape(height=1, width=2), ImageShape(height=3, width=7, channels=3)])
@pytest.mark.parametrize("width", [3, 6])
def test_convolutions_take_images_of_any_side_and_any_number_of_channels(shape, width):
    """Sides that cannot be halved twice, and channels that four groups do not divide."""
    options = ImageGanOptions(
        architecture="dcgan",
        norm=True,
        generator_width=width,
        discriminator_width=width,
        latent_dim=2,
        fake_batch_size=4,
    )
    rng = torch.Generator().manual_seed(0)
    generated = GeneratedImages.untrained(shape, 2, options, None, rng)
    gan = ImageGan(generated, options, shares=np.full(2, 0.5), device="cpu", seed=1)
    assert gan.discriminator(gan.fakes()).shape == (4,)
    denoiser = DiffusionImages.untrained(shape, 2, DiffusionOptions(width=width, n_levels=2), rng)
    assert denoiser.draw(np.array([0, 1, 1]), np.random.default_rng(0)).shape == (3, *shape.axes)


@pytest.mark.parametrize(
    ("architecture", "norm"), [("mlp", False), ("dcgan", False), ("dcgan", True)], ids=str
)
def test_clipped_sums_of_image_discriminators_equal_batches_of_one(architecture, norm):
    rng = torch.Generator().manual_seed(0)
    network = DiscriminatorNetwork(GREY, 3, architecture=architecture, width=8, norm=norm, rng=rng)
    cells = torch.tensor([0, 1, 2, 1, 0, -1])
    rows = torch.cat([torch.rand(6, 64, generator=rng), one_hot_cells(cells, 3)], dim=1)

    def loss(discriminator, records):
        return torch.nn.functional.softplus(-discriminator(records))

    clipper = RecordClipper(network, loss, max_grad_norm=0.05)
    check_records_do_not_mix(clipper, rows[:4])
    expected = [torch.zeros_like(p) for p in clipper.parameters]
    for row in rows:
        gradients = torch.autograd.grad(loss(network, row[None]).sum(), clipper.parameters)
        norm_of_one = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        for whole, g in zip(expected, gradients, strict=True):
            whole += g * min(1.0, 0.05 / max(float(norm_of_one), 1e-12))
    for ours, theirs in zip(clipper.clipped_sum(rows), expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("flips", [False, True])
def test_augmentations_are_the_image_and_small_changes_of_it(flips):
    images = torch.rand(5, SHAPE.n_values, generator=torch.Generator().manual_seed(0))
    n = n_augmentations(flips=flips)
    versions = augmented(images, SHAPE, n, flips=flips)
    assert torch.equal(versions[0], images)
    flipped = versions[1].view(5, *SHAPE.axes)
    assert torch.equal(flipped.flip(2), images.view(5, *SHAPE.axes)) == flips
    assert len({tuple(v.flatten().tolist()) for v in versions}) == n
    alone = augmented(images[2:3], SHAPE, n, flips=flips)
    assert all(torch.allclose(v[2:3], a, atol=1e-6) for v, a in zip(versions, alone, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "u-net"},
        {"loss": "mse"},
        {"averaging": 1.0},
        {"warm_steps": -1},
        {"generator_steps": -1},
        {"generator_width": 0},
        {"fake_batch_size": 0},
        {"generator_rate": 0.0},
        {"discriminator_rate": float("nan")},
        {"loss": "wasserstein"},
    ],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ParameterError, match=r"expected|needs"):
        ImageGanOptions(**options)


def test_a_checkpoint_goes_on_as_if_nothing_had_been():
    def game() -> ImageGan:
        options = ImageGanOptions(generator_width=8, discriminator_width=8, fake_batch_size=16)
        rng = torch.Generator().manual_seed(0)
        generated = GeneratedImages.untrained(SHAPE, 2, options, mixture(), rng)
        return ImageGan(generated, options, shares=np.full(2, 0.5), device="cpu", seed=1)

    def play(gan: ImageGan, n: int) -> None:
        for _ in range(n):
            fakes = gan.fakes()
            gan.discriminator_optimizer.zero_grad()
            gan.fake_loss(gan.discriminator, fakes.detach()).mean().backward()
            gan.discriminator_optimizer.step()
            gan.generator_step(fakes)

    whole, first, second = game(), game(), game()
    play(whole, 6)
    play(first, 3)
    second.from_arrays(first.to_arrays())
    play(second, 3)
    ours, theirs = second.to_arrays(), whole.to_arrays()
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_warming_up_teaches_which_draws_bear_which_label():
    options = ImageGanOptions(
        discriminator_width=16, fake_batch_size=64, warm_steps=300, discriminator_rate=0.01
    )
    rng = torch.Generator().manual_seed(0)
    generated = GeneratedImages.untrained(SHAPE, 2, options, mixture(), rng)
    gan = ImageGan(generated, options, shares=np.full(2, 0.5), device="cpu", seed=1)
    gan.warm_up()
    pixels = mixture().pixels(np.array([0, 1]), np.random.default_rng(0))
    for cells, sign in (([0, 1], 1), ([1, 0], -1)):
        rows = torch.cat([pixels, one_hot_cells(torch.tensor(cells), 2)], dim=1)
        assert (sign * gan.discriminator(rows) > 0).all()


def test_the_generator_of_images_waits_while_fakes_are_not_told():
    options = ImageGanOptions(
        architecture="mlp",
        generator_width=8,
        discriminator_width=8,
        latent_dim=2,
        fake_batch_size=16,
        min_fake_accuracy=0.6,
    )
    rng = torch.Generator().manual_seed(0)
    generated = GeneratedImages.untrained(GREY, 2, options, None, rng)
    gan = ImageGan(generated, options, shares=np.full(2, 0.5), device="cpu", seed=1)
    with torch.no_grad():
        for p in gan.discriminator.parameters():
            p.zero_()
        gan.discriminator.layers[-1].bias.fill_(1.0)  # every fake passes for real
    for _ in range(10):  # a few steps until the running share has fallen, then none
        gan.generator_step(gan.fakes())
    waited = [p.detach().clone() for p in generated.network.parameters()]
    assert gan.generator_step(gan.fakes()) == pytest.approx(1.0)
    assert all(map(torch.equal, waited, generated.network.parameters()))
    with torch.no_grad():
        gan.discriminator.layers[0].weight.normal_(generator=rng)
        gan.discriminator.layers[2].weight.normal_(generator=rng)
        gan.discriminator.layers[4].weight.normal_(generator=rng)
        gan.discriminator.layers[-1].bias.fill_(-100.0)
    for _ in range(15):
        gan.generator_step(gan.fakes())
    assert not all(map(torch.equal, waited, generated.network.parameters()))
    assert all(p.requires_grad for p in gan.discriminator.parameters())
