"""The masked Dice loss counts certain pixels only and does not reward "edge everywhere"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.features import extract_features, feature_levels
from segdemo.diffegg.loading import load_backbone
from tests.segdemo.diffegg.backbones import FAMILIES, latents_like
from training.diffegg.losses import masked_dice, reconstruction_loss, relabel

LABELS = torch.tensor([[[1, 0, -1, 0], [1, 0, -1, 1]]], dtype=torch.int8)
FamilyOf = Callable[[str], Backbone]


@pytest.fixture(scope="module")
def family_of(tmp_path_factory: pytest.TempPathFactory) -> FamilyOf:
    def loaded(family: str) -> Backbone:
        folder = tmp_path_factory.mktemp(family)
        torch.manual_seed(0)
        FAMILIES[family](folder)
        return load_backbone(locate_backbone(str(folder)), torch.device("cpu"))

    return loaded


def _naive(probability: torch.Tensor, labels: torch.Tensor) -> float:
    """1 - 2 sum(W E P) / (sum(W E^2) + sum(W P^2)), pixel by pixel."""
    both = truth = predicted = 0.0
    for p, e in zip(probability.flatten().tolist(), labels.flatten().tolist(), strict=True):
        if e != -1:
            both, truth, predicted = both + e * p, truth + e * e, predicted + p * p
    return 1 - 2 * both / (truth + predicted + 1e-6)


def test_dice_equals_the_formula_and_uncertain_pixels_have_no_gradient() -> None:
    probability = torch.rand(1, 2, 4, generator=torch.Generator().manual_seed(0))
    probability.requires_grad_()
    loss, counted = masked_dice(probability, LABELS)
    assert float(loss) == pytest.approx(_naive(probability, LABELS), abs=1e-6)
    assert int(counted) == 1
    loss.backward()
    assert probability.grad is not None
    assert torch.equal(probability.grad != 0, LABELS != -1)
    assert float(masked_dice(LABELS.clamp(0).float(), LABELS)[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("only", [[1, -1], [0, -1], [-1, -1]], ids=str)
def test_a_picture_without_edge_or_without_interior_does_not_count(only: list[int]) -> None:
    alone = torch.tensor([[only]], dtype=torch.int8).expand(1, 2, 2)
    everywhere = torch.ones(1, 2, 2, requires_grad=True)
    loss, counted = masked_dice(everywhere, alone)
    assert (float(loss), int(counted)) == (0, 0)
    loss.backward()  # processes share gradients: there must be some
    assert everywhere.grad is not None and not everywhere.grad.any()

    usable = torch.tensor([[[1, 0], [0, -1]]], dtype=torch.int8)
    both, counted = masked_dice(torch.ones(2, 2, 2), torch.cat([usable, alone]))
    assert int(counted) == 1
    assert float(both) == float(masked_dice(torch.ones(1, 2, 2), usable)[0]) > 0.4


def test_new_labels_are_given_to_uncertain_pixels_only() -> None:
    sure = torch.tensor([[[0.1, 0.9, 0.9, 0.9], [0.9, 0.9, 0.1, 0.1]]])
    expected = [[[1, 0, 1, 0], [1, 0, 0, 1]]]
    assert relabel(LABELS, sure, 0.8, 0.2).tolist() == expected
    assert torch.equal(relabel(LABELS, torch.full_like(sure, 0.5), 0.8, 0.2), LABELS)


@pytest.mark.parametrize("family", ["own", "sd15", "sd3"])
def test_a_denoiser_that_is_right_has_no_reconstruction_loss(
    family: str, family_of: FamilyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = family_of(family)
    latents, noise = latents_like(backbone), torch.randn(2, 1, 1, 1)
    for timestep in (1, 500):
        target = backbone.target(latents, noise.expand_as(latents), timestep)
        noisy = backbone.add_noise(latents, noise.expand_as(latents), timestep)
        clean = backbone.predict_clean(noisy, target, timestep)
        torch.testing.assert_close(clean, latents, atol=1e-4, rtol=1e-4)


def test_the_literal_reconstruction_teaches_a_flow_model_nothing_at_timestep_0(
    family_of: FamilyOf,
) -> None:
    for family, vacuous in (("sd3", True), ("sd15", False)):
        backbone = family_of(family)
        latents = latents_like(backbone)
        pictures = torch.zeros(2, 3, 128, 128)
        states = extract_features(backbone, feature_levels(backbone), latents, 0)
        assert float(_loss("latent", backbone, pictures, latents, states)) < 0.05
        assert (float(_loss("latent", backbone, pictures, latents, states)) == 0) == vacuous
        assert float(_loss("none", backbone, pictures, latents, states)) == 0
        assert float(_loss("denoise", backbone, pictures, latents, states)) > 0.1
        assert float(_loss("pixel", backbone, pictures, latents, states)) > 0


def _loss(kind: str, backbone: Backbone, pictures, latents, states) -> torch.Tensor:  # type: ignore[no-untyped-def]
    with torch.no_grad():
        return reconstruction_loss(kind, backbone, pictures, latents, latents, states, 0)


def test_the_families_predict_what_their_schedulers_say(tmp_path: Path) -> None:
    for family, name in (("sd15", "noise"), ("sd21", "velocity"), ("sd3", "flow")):
        folder = tmp_path / family
        folder.mkdir()
        FAMILIES[family](folder)
        backbone = load_backbone(locate_backbone(str(folder)), torch.device("cpu"))
        latents, noise = latents_like(backbone), torch.ones_like(latents_like(backbone))
        target = backbone.target(latents, noise, 0)
        # at timestep 0 there is next to no noise in the latents
        expected = noise - latents if name == "flow" else noise
        torch.testing.assert_close(target, expected, atol=0.15, rtol=0)
