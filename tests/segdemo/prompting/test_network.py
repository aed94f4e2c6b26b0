"""The network that answers prompts: where it starts, and how prompts share a window."""

from __future__ import annotations

import torch

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
