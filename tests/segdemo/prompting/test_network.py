"""The network that answers prompts: where it starts, and how prompts share a window."""

from __future__ import annotations

import torch

from segdemo.photo_features import PhotoFeatures
from segdemo.prompting.network import PromptedU2Net
from segdemo.u2netp import U2NetP


def _networks() -> tuple[U2NetP, PromptedU2Net]:
    torch.manual_seed(0)
    saliency = U2NetP(channels=8, inner_channels=4).eval()
    return saliency, PromptedU2Net.from_u2netp(saliency).eval()


def test_untrained_it_gives_u2netps_map_at_half_resolution_whatever_the_prompt() -> None:
    saliency, prompted = _networks()
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = saliency(images).side_logits[1]
        found = prompted(prompted.encode(images), torch.randn(2, 4, 64, 64)).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_several_prompts_of_a_window_are_answered_as_one_by_one() -> None:
    _, prompted = _networks()
    for parameter in prompted.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images, prompts = torch.rand(2, 3, 64, 64), torch.randn(6, 4, 64, 64)
    with torch.no_grad():
        together = prompted(prompted.encode(images), prompts).logits
        features = prompted.encode(images[1:])
        alone = prompted(features, prompts[4:5]).logits
    torch.testing.assert_close(together[4:5], alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[4], together[5])


def _seeing_photos(prompted: PromptedU2Net) -> tuple[PromptedU2Net, PhotoFeatures]:
    photo_features = PhotoFeatures(width=0.25, depth=0.5).eval()
    return prompted.extended(tuple(photo_features.widths), (1, 2)).eval(), photo_features


def test_photo_features_and_attention_change_nothing_until_they_are_trained() -> None:
    _, prompted = _networks()
    torch.nn.init.normal_(prompted.head[-1].weight)
    extended, photo_features = _seeing_photos(prompted)
    images, prompts = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randn(4, 4, 64, 64)
    with torch.no_grad():
        expected = prompted(prompted.encode(images), prompts).logits
        found = extended(extended.encode(images, photo_features), prompts).logits
    torch.testing.assert_close(found, expected)


def test_trained_they_change_the_answer_and_cells_hear_of_each_other() -> None:
    _, prompted = _networks()
    extended, photo_features = _seeing_photos(prompted)
    for parameter in extended.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    prompts = torch.zeros(1, 4, 64, 64)
    with torch.no_grad():
        own, half, *photo = extended.encode(images, photo_features)
        found = extended([own, half, *photo], prompts).logits
        without = extended([own, half, *(torch.zeros_like(values) for values in photo)], prompts)
        steps = dict(extended.attention)
        hidden = torch.randn(1, 8, 8, 8)
        moved = hidden.clone()
        moved[..., 0, 0] += 3
        far = [steps["1"](values)[..., 7, 7] for values in (hidden, moved)]
    assert [len(photo), photo[0].shape[-1]] == [4, 24]  # 1.5 times the window, at 1/4
    assert not torch.allclose(found, without.logits)
    assert not torch.allclose(far[0], far[1])
