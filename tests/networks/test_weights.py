"""Weights as timm and training scripts save them, and the binding that is named where they do not fit."""

import argparse
import os
import re

import pytest
import timm as library
import torch
from safetensors.torch import save_file

from zapbench.networks.backbones import timm, vgg16_bn
from zapbench.networks.classifier import convnet
from zapbench.networks.weights import load_weights

VIT = {"img_size": 28, "patch_size": 7, "embed_dim": 12, "depth": 1, "num_heads": 2}
LEVIT = {"img_size": 32, "embed_dim": (16, 16, 16), "num_heads": (1, 1, 1), "key_dim": 4, "depth": (1, 1, 1)}


def made(name, **more):
    """A model of timm with a classifier, whose running statistics are not those of a new one."""
    torch.manual_seed(3)
    model = library.create_model(name, num_classes=7, **more)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_(0.01)
    return model.eval()


def features_of(model, images):
    with torch.no_grad():
        return model.forward_head(model.forward_features(images), pre_logits=True)


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("test_resnet", {}, 33),
        ("test_convnext", {}, 32),
        ("vit_tiny_patch16_224", VIT, 28),
        ("levit_128s", LEVIT, 32),
    ],
)
def test_a_whole_model_of_timm_is_loaded_and_its_own_classifier_ignored(name, options, size, tmp_path):
    whole = made(name, **options)
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    model = timm(name, outputs=5, channels=3, size=size, options=options)
    load_weights(model, tmp_path / "whole.pt")
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        assert torch.allclose(model.eval().encoder(images), features_of(whole, images), atol=1e-6)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "model."])
@pytest.mark.parametrize("whole", [True, False])
def test_prefixes_of_compiled_and_parallel_models_are_removed(prefix, whole, tmp_path):
    source = library.create_model("test_resnet", num_classes=7) if whole else convnet(outputs=3, channels=3, size=32)
    torch.save({prefix + name: value for name, value in source.state_dict().items()}, tmp_path / "mine.pt")
    model = timm("test_resnet", outputs=5, channels=3, size=32) if whole else convnet(outputs=4, channels=3, size=32)
    load_weights(model, tmp_path / "mine.pt")
    wanted = dict(source.named_parameters()) if whole else dict(source.encoder.named_parameters())
    assert all(torch.equal(value, wanted[name]) for name, value in model.encoder.named_parameters())


def test_a_part_that_was_compiled_is_found_inside_a_model(tmp_path):
    source = convnet(outputs=3, channels=1, size=28, filters=4)
    names = {name.replace("encoder.", "encoder._orig_mod."): value for name, value in source.state_dict().items()}
    torch.save(names, tmp_path / "mine.pt")
    model = convnet(outputs=3, channels=1, size=28, filters=4)
    load_weights(model, tmp_path / "mine.pt")
    assert torch.equal(model.head.weight, source.head.weight)


def test_what_timms_training_script_and_its_hub_save_is_read(tmp_path):
    whole = made("test_resnet")
    options = argparse.Namespace(model="test_resnet", lr=0.1)
    torch.save(
        {"epoch": 3, "arch": "test_resnet", "state_dict": whole.state_dict(), "args": options}, tmp_path / "a.pt"
    )
    save_file(whole.state_dict(), tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        model = timm("test_resnet", outputs=5, channels=3, size=32)
        load_weights(model, tmp_path / name)
        assert torch.equal(model.encoder.conv1[0].weight, whole.conv1[0].weight), name
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ValueError, match=r"b\.safetensors holds no readable weights"):
        load_weights(model, tmp_path / "b.safetensors")


class Evil:
    def __reduce__(self):
        return (os.system, ("touch owned",))


def test_options_beside_the_weights_run_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "args": argparse.Namespace(evil=Evil())}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="holds no readable weights"):
        load_weights(convnet(outputs=3, channels=1, size=28), tmp_path / "a.pt")
    assert not (tmp_path / "owned").exists()


def test_timms_and_torchvisions_vgg_is_the_papers_without_their_hidden_layers(tmp_path):
    whole = made("vgg16_bn", mlp_ratio=2**-12)
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    model = vgg16_bn(outputs=3, channels=3, size=32)
    load_weights(model, tmp_path / "whole.pt")
    assert torch.equal(model.encoder[0][41].running_mean, whole.features[41].running_mean)


def test_grey_images_are_repeated_and_scaled_for_a_model_of_colour_images(tmp_path):
    whole = made("vit_tiny_patch16_224", **{**VIT, "img_size": 56})
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    options = {name: value for name, value in VIT.items() if name != "img_size"}
    model = timm("vit_tiny_patch16_224", outputs=5, channels=1, size=28, img_size=56, in_chans=3, options=options)
    load_weights(model, tmp_path / "whole.pt")
    images = torch.rand(2, 1, 28, 28)
    seen = torch.nn.functional.interpolate(images, (56, 56), mode="bilinear").expand(-1, 3, -1, -1)
    with torch.no_grad():
        assert torch.allclose(model.eval().encoder(images), features_of(whole, seen), atol=1e-5)


def test_a_backbone_of_other_channels_than_colour_images_have_is_refused():
    with pytest.raises(ValueError, match=r"timm.in_chans is 1, and images have 3 channels; allowed: 3"):
        timm("test_resnet", outputs=5, channels=3, size=32, in_chans=1)


SMALL = {"embed_dim": 12, "depth": 1, "num_heads": 2}


@pytest.mark.parametrize(
    ("source", "model", "words"),
    [
        (
            lambda: made("test_resnet"),
            lambda: timm("test_resnet", outputs=5, channels=1, size=32),
            "-p 'timm.in_chans = 3' makes it for images of 3 channels",
        ),
        (
            lambda: made("vit_tiny_patch16_224", **SMALL, img_size=64),
            lambda: timm("vit_tiny_patch16_224", outputs=5, channels=3, size=32, img_size=32, options=SMALL),
            "-p 'timm.img_size = 64' makes it for images of 64x64",
        ),
        (
            lambda: made("test_resnet"),
            lambda: timm("test_convnext", outputs=5, channels=3, size=32),
            "timm.name and timm.options must be what timm.create_model was given",
        ),
        (
            lambda: made("test_resnet"),
            lambda: convnet(outputs=5, channels=3, size=32),
            """bind -p 'MODEL = @timm' -p 'timm.name = "NAME"'""",
        ),
        (
            lambda: convnet(outputs=5, channels=1, size=28, filters=8, blocks=2),
            lambda: convnet(outputs=5, channels=1, size=28, filters=4),
            "bind -p 'convnet.filters = 8' -p 'convnet.blocks = 2'",
        ),
        (
            lambda: convnet(outputs=5, channels=3, size=28, filters=4),
            lambda: convnet(outputs=5, channels=1, size=28, filters=4),
            "its images have 3 channels, and the scenario's have 1",
        ),
        (
            lambda: convnet(outputs=7, channels=1, size=28, filters=4, padding=1),
            lambda: convnet(outputs=5, channels=1, size=28, filters=4),
            "its head takes 196 features, and the model has 36 here",
        ),
    ],
)
def test_weights_that_do_not_fit_name_the_binding_that_makes_them_fit(source, model, words, tmp_path):
    torch.save(source().state_dict(), tmp_path / "mine.pt")
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        load_weights(model(), tmp_path / "mine.pt")
    assert "\n" not in str(error.value)


def test_an_encoder_alone_needs_no_head_that_fits(tmp_path):
    torch.save(convnet(outputs=7, channels=1, size=42, filters=4).encoder.state_dict(), tmp_path / "mine.pt")
    load_weights(convnet(outputs=5, channels=1, size=28, filters=4), tmp_path / "mine.pt")


def test_two_weights_of_one_name_without_its_prefix_are_refused(tmp_path):
    source = convnet(outputs=3, channels=1, size=28, filters=4).state_dict()
    torch.save(source | {"encoder._orig_mod.0.bias": torch.ones(4)}, tmp_path / "mine.pt")
    with pytest.raises(ValueError, match=r"it holds encoder\._orig_mod\.0\.bias"):
        load_weights(convnet(outputs=3, channels=1, size=28, filters=4), tmp_path / "mine.pt")
