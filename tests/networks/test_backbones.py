"""Backbones of timm: what the paper's VGG-16 is made of, which images fit, and what batch norm does."""

import functools

import pytest
import torch
import torch.nn.functional as F

from zapbench.config import parse_bindings
from zapbench.experiment.context import Options
from zapbench.experiment.root import configured, execute
from zapbench.networks.backbones import check_single_image, timm, vgg16_bn
from zapbench.networks.classifier import convnet
from zapbench.tasks import Job, RunSpec, TrialSpec
from zapbench.transfer.features import Features
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import iid_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial

PLAN = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""VGG-16 (Simonyan and Zisserman 2015, configuration D): filters of 3x3 convolutions, 0 for a pool of 2."""

SMALL_VIT = {"img_size": 28, "patch_size": 7, "embed_dim": 12, "depth": 1, "num_heads": 2}


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(2)
    return vgg16_bn(outputs=7, channels=3, size=64)


def test_vgg16_is_the_papers_convolutions_and_a_seven_by_seven_pool(vgg):
    assert vgg.head.in_features == 25_088 == 512 * 7 * 7
    images = torch.rand(1, 3, 64, 64)
    weights = iter(vgg.encoder.parameters())
    x = images
    with torch.no_grad():
        for filters in PLAN:
            if filters:
                x = F.conv2d(x, next(weights), next(weights), padding=1)
                x = F.batch_norm(x, None, None, next(weights), next(weights), training=True).relu()
                assert x.shape[1] == filters
            else:
                x = F.max_pool2d(x, 2)
        assert not list(weights), "no hidden layers"
        expected = F.adaptive_avg_pool2d(x, 7).flatten(1)
        found = vgg.train().encoder(images)
    assert torch.allclose(found, expected, atol=1e-4)


def test_vgg16_has_no_dropout(vgg):
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(vgg.train()(images), vgg.train()(images))


def test_a_narrow_vgg16_has_a_share_of_the_filters_of_every_layer(vgg):
    narrow = vgg16_bn(outputs=7, channels=3, size=64, width=0.125)
    assert narrow.head.in_features == 25_088 / 8
    filters = [
        [m.out_channels for m in net.encoder.modules() if isinstance(m, torch.nn.Conv2d)] for net in (narrow, vgg)
    ]
    assert len(filters[0]) == 13
    assert [8 * count for count in filters[0]] == filters[1]
    assert narrow(torch.rand(2, 3, 64, 64)).shape == (2, 7)
    for wrong in ({"width": 0}, {"width": 2}, {"width": 0.5, "pretrained": True}):
        with pytest.raises(ValueError, match="allowed: above 0 to 1"):
            vgg16_bn(outputs=7, channels=3, size=64, **wrong)


def test_timms_own_vgg16_is_not_the_papers():
    model = timm("vgg16_bn", outputs=7, channels=3, size=64, options={"mlp_ratio": 0.01})
    assert model.head.in_features == 4096
    assert model.name == "timm/vgg16_bn"


@pytest.mark.parametrize(("name", "size", "options"), [("resnet18", 28, {}), ("vit_tiny_patch16_224", 28, SMALL_VIT)])
def test_any_backbone_gives_timms_pooled_features(name, size, options):
    model = timm(name, outputs=5, channels=1, size=size, options=options).eval()
    images = torch.rand(3, 1, size, size)
    with torch.no_grad():
        assert model.encoder(images).shape == (3, {"resnet18": 512}.get(name, 12))
        assert torch.equal(model(images), model.head(model.encoder(images)))


@pytest.mark.parametrize(
    ("make", "size", "words"),
    [
        (vgg16_bn, 28, r"vgg16_bn does not take images of 28x28 \(.*; it takes 32x32, 33x33, 48x48, \.\.\."),
        (
            functools.partial(timm, "vit_tiny_patch16_224"),
            28,
            r"it takes 224x224; -p 'timm.img_size = 224' scales them$",
        ),
        (functools.partial(timm, "resnet81"), 28, "timm has no backbone 'resnet81', did you mean .*resnet18"),
        (functools.partial(timm, "resnet18", options={"depth": 3}), 28, "unexpected keyword argument 'depth'"),
        (convnet, 12, "images of 12x12 are too small for 3 blocks of padding 0; it takes 22x22 and larger"),
    ],
)
def test_images_that_do_not_fit_are_refused_with_the_sizes_that_do(make, size, words):
    with pytest.raises(ValueError, match=words):
        make(outputs=2, channels=1, size=size)


def test_the_smallest_images_that_convnet_names_fit():
    assert convnet(outputs=2, channels=1, size=22)(torch.rand(1, 1, 22, 22)).shape == (1, 2)
    with pytest.raises(ValueError, match="22x22 and larger"):
        convnet(outputs=2, channels=1, size=21)


def test_a_network_that_cannot_train_on_a_single_image_is_refused_in_episodes_before_training(tmp_path):
    bindings = parse_bindings(["MODEL = @timm", "timm.name = 'resnet18'"])
    trials = (TrialSpec("sequential", 0.01, "report", 0),)
    words = r"cannot be trained on single images of 28x28.*it takes 33x33, 48x48, .*-p 'timm.img_size = 33' scales them"
    with pytest.raises(ValueError, match=words):
        execute(Job(RunSpec("glyphs", "asb", 0, bindings=bindings), trials), Options(tmp_path))
    assert not list(tmp_path.rglob("*tfevents*"))
    configured(Job(RunSpec("glyphs", "iid", 0, bindings=bindings), trials), Options(tmp_path)).rehearse()


def test_the_check_of_single_images_leaves_network_and_generator_alone():
    make = functools.partial(timm, "resnet18")
    model = make(outputs=2, channels=1, size=33)
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    check_single_image(make, model, 1, 33)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("protocol", [sequential_transfer(), iid_transfer(batch_size=4, epochs=1)])
def test_transfer_normalises_by_the_running_statistics_and_leaves_them(tiny, protocol):
    torch.manual_seed(4)
    model = timm("resnet18", outputs=6, channels=1, size=28)
    model.train()(tiny.tensor()(torch.arange(9)))
    held = {k: v.clone() for k, v in model.state_dict().items() if "running" in k or "batches" in k}
    trial, images = tiny.trial(0, 0), tiny.tensor()
    inputs = Features(model.encoder, images, torch.arange(96)) if protocol.frozen else images
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), inputs)
    if protocol.frozen:
        alone = torch.cat([model.encoder.eval()(images(torch.tensor([i]))) for i in range(3)])
        assert torch.allclose(inputs(torch.arange(3)), alone, atol=1e-5), "an image's features depend on it alone"
    order = trial_generator("order", "tiny", 0, 0, "report")
    run_trial(inputs, TrialPlan(trial, learner, protocol, torch.optim.SGD, rate=0.01, points=[4], order=order))
    for net in (model, learner):
        now = net.state_dict()
        assert all(torch.equal(now[k], v) for k, v in held.items() if k in now)
