"""The blocks of the deep methods, and what all four methods must keep to."""

import inspect
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_items import small_items

from cmrbench.core.errors import MethodError
from cmrbench.method import Context
from cmrbench_methods.blocks import losses
from cmrbench_methods.blocks.nets import LightEncoder, TwoLayerHead, UnitMLP
from cmrbench_methods.blocks.scaling import fit_scalings, standard_scaling
from cmrbench_methods.blocks.selection import Best, validation_2sknn, validation_map
from cmrbench_methods.blocks.training import batches, encode_exactly, forward, run_epoch, seeded
from cmrbench_methods.supervised_real.clip4cmr import CLIP4CMR
from cmrbench_methods.supervised_real.drcl import DRCL
from cmrbench_methods.supervised_real.dscmr import DSCMR
from cmrbench_methods.supervised_real.lcm import LCM

SMALL = {
    DRCL: {"hidden": 16, "dim": 8, "epochs": 6, "batch": 25, "lr": 1e-3, "q_step": 0.2},
    DSCMR: {"hidden": 16, "dim": 8, "epochs": 6, "batch": 25},
    CLIP4CMR: {"hidden": 16, "dim": 8, "epochs": 6, "batch": 25, "lr": 1e-3},
    LCM: {"hidden": 16, "dim": 8, "epochs": 6, "batch": 25, "check_every": 2},
}
METHODS = pytest.mark.parametrize("cls", SMALL, ids=lambda cls: cls.info.name)


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def one_hot(classes, n_classes):
    return np.eye(n_classes)[classes]


def tensor(x):
    return torch.from_numpy(np.asarray(x, dtype=np.float64))


# --- losses ---------------------------------------------------------------------------------------------------------


def test_label_residual():
    Z, Y = arrays((5, 3), (5, 3))
    expected = np.mean([np.sqrt(((z - y) ** 2).sum()) for z, y in zip(Z, Y, strict=True)])
    assert float(losses.label_residual(tensor(Z), tensor(Y))) == pytest.approx(expected)


def test_label_residual_has_no_nan_gradient_at_zero():
    Z = torch.ones(2, 3, requires_grad=True)
    losses.label_residual(Z, torch.ones(2, 3)).backward()
    assert torch.equal(Z.grad, torch.zeros(2, 3))


def test_pair_likelihood():
    A, B = arrays((4, 6), (5, 6))
    S = np.random.default_rng(1).integers(0, 3, (4, 5))
    total = 0.0
    for i, a in enumerate(A):
        for j, b in enumerate(B):
            theta = 0.5 * (a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
            total += np.log(1 + np.exp(theta)) - S[i, j] * theta
    assert float(losses.pair_likelihood(tensor(A), tensor(B), tensor(S))) == pytest.approx(total / 20)


@pytest.mark.parametrize("q", [0.01, 0.5, 1.0])
def test_generalized_cross_entropy(q):
    P = np.random.default_rng(0).dirichlet(np.ones(4), size=6)
    Y = 0.9 * one_hot([0, 1, 2, 3, 0, 1], 4) + 0.1 * one_hot([1, 1, 0, 2, 3, 0], 4)
    expected = np.mean([(1 - (y @ p) ** q) / q for p, y in zip(P, Y, strict=True)])
    assert float(losses.generalized_cross_entropy(tensor(P), tensor(Y), q)) == pytest.approx(expected)


def test_generalized_cross_entropy_tends_to_cross_entropy():
    P, Y = np.array([[0.2, 0.8], [0.6, 0.4]]), np.eye(2)
    near_zero = float(losses.generalized_cross_entropy(tensor(P), tensor(Y), 1e-6))
    assert near_zero == pytest.approx(-np.log([0.2, 0.4]).mean(), abs=1e-4)


def test_generalized_cross_entropy_of_an_unlabelled_item_has_no_gradient():
    P = torch.full((1, 3), 1 / 3, requires_grad=True)
    losses.generalized_cross_entropy(P, torch.zeros(1, 3), 0.01).backward()
    assert torch.equal(P.grad, torch.zeros(1, 3))


def test_soft_cross_entropy_is_cross_entropy_where_labels_are_single():
    (logits,) = arrays((5, 3))
    classes = [0, 2, 1, 1, 0]
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -np.mean([row[c] for row, c in zip(log_p, classes, strict=True)])
    assert float(losses.soft_cross_entropy(tensor(logits), tensor(one_hot(classes, 3)))) == pytest.approx(expected)
    both = tensor([[1.0, 1.0, 0.0]])
    assert float(losses.soft_cross_entropy(tensor(logits[:1]), both)) == pytest.approx(-log_p[0, :2].mean())


def test_squared_distances():
    A, B = arrays((4, 6), (5, 6))
    expected = ((A[:, None] - B[None]) ** 2).sum(2)
    np.testing.assert_allclose(losses.squared_distances(tensor(A), tensor(B)), expected)
    assert (losses.squared_distances(tensor(A) * 1e4, tensor(A) * 1e4) >= 0).all()


# --- scaling --------------------------------------------------------------------------------------------------------


def test_standard_scaling_leaves_constant_columns_at_zero():
    x = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    x[:, 2] = 0.1
    z = standard_scaling(x)(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), [1, 1, 0, 1], atol=1e-5)


def test_no_standardisation_is_the_identity():
    part = small_items()
    for m, scaling in fit_scalings(part, standardize=False).items():
        assert np.array_equal(scaling(part[m].features), part[m].features)


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "options", "sizes"),
    [
        (10, {}, [4, 4, 2]),
        (10, {"drop_last": True}, [4, 4]),
        (3, {"drop_last": True}, [3]),
        (9, {}, [4, 4, 1]),
        (9, {"at_least": 2}, [4, 5]),
        (1, {"at_least": 2}, [1]),
    ],
)
def test_batches(n, options, sizes):
    with seeded(0):
        parts = batches(n, 4, **options)
    assert [len(p) for p in parts] == sizes
    assert len(set(torch.cat(parts).tolist())) == sum(sizes)


def test_batches_without_shuffling_keep_the_order():
    assert torch.cat(batches(10, 4, shuffle=False)).tolist() == list(range(10))


def test_seeded_repeats_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded(3):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_run_epoch_takes_one_step_a_batch_and_names_a_loss_that_is_nan():
    w = torch.tensor([1.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    mean = run_epoch([torch.tensor([0])] * 2, lambda rows: (w**2).sum(), optimizer, "the loss")
    assert float(w.detach()) == pytest.approx(0.8**2)
    assert mean == pytest.approx((1 + 0.64) / 2)
    with pytest.raises(MethodError, match="the loss in epoch 3 is nan"):
        run_epoch([torch.tensor([0])], lambda rows: (w * np.nan).sum(), optimizer, "the loss in epoch 3")


@pytest.mark.parametrize("net", [UnitMLP(9, 20, 5), TwoLayerHead(9, 20, 5, 0.1), LightEncoder(9, 20, 5, 0.2)])
def test_encoding_does_not_depend_on_the_other_items_of_a_call(net):
    x = np.random.default_rng(0).standard_normal((137, 9)).astype(np.float32)
    whole = encode_exactly(net, x)
    assert whole.dtype == np.float32
    single = np.concatenate([encode_exactly(net, row[None]) for row in x])
    order = np.random.default_rng(1).permutation(137)
    assert np.array_equal(whole, single)
    assert np.array_equal(whole[order], encode_exactly(net, x[order], rows=50))
    np.testing.assert_allclose(whole, forward(net, torch.from_numpy(x)).numpy(), atol=1e-5)


def test_forward_puts_the_mode_back():
    net = LightEncoder(3, 4, 2, 0.5).train()
    forward(net, torch.zeros(2, 3))
    assert net.training


def test_batch_normalisation_of_one_item_uses_the_running_statistics():
    net = LightEncoder(3, 4, 2, 0.0).train()
    x = torch.randn(1, 3)
    assert torch.allclose(net(x), net.eval()(x))


# --- selection ------------------------------------------------------------------------------------------------------


def test_best_keeps_the_best_weights_and_counts_patience():
    net = torch.nn.Linear(1, 1, bias=False)
    best = Best(net, patience=2)
    for epoch, value in enumerate([0.1, 0.5, 0.5, float("nan")], start=1):
        assert not best.exhausted
        with torch.no_grad():
            net.weight.fill_(epoch)
        best.update(value, epoch)
    assert best.exhausted
    assert (best.epoch, best.value) == (2, 0.5)
    best.restore()
    assert float(net.weight.detach()) == 2


def test_validation_map_is_the_mean_over_directions():
    # image 0 finds its class at ranks 1 and 2 of texts; image 1 at rank 3; texts: class 0 first for 0 and 1, 2 last.
    labels = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.uint8)
    image = np.array([[1, 0], [0, 1], [1, 0.1]], dtype=np.float32)
    perfect = validation_map({"image": image, "text": image}, {"image": labels, "text": labels})
    assert perfect == pytest.approx(1)
    wrong = validation_map({"image": image, "text": image[:, ::-1]}, {"image": labels, "text": labels})
    # class 0: ranks 2 and 3 of 3, AP (1/2 + 2/3) / 2; class 1: rank 3, AP 1/3
    assert wrong == pytest.approx(((1 / 2 + 2 / 3) / 2 * 2 + 1 / 3) / 3)


def test_validation_2sknn_reads_the_training_items_of_the_query_modality():
    labels = np.eye(2, dtype=np.uint8)[[0, 1, 0, 1]]
    x = np.array([[0.0], [1.0], [0.1], [0.9]], dtype=np.float32)
    noise = np.zeros((4, 1), dtype=np.float32)
    both = {"image": labels, "text": labels}
    value = validation_2sknn({"image": x, "text": noise}, both, {"image": x, "text": x}, both, k=2)
    image_to_text, text_to_image = 1.0, ((1.0 + (1 / 3 + 2 / 4) / 2) / 2)
    assert value == pytest.approx((image_to_text + text_to_image) / 2)


def test_validation_items_without_common_labels_are_an_error():
    labels = {"image": np.array([[1, 0]], dtype=np.uint8), "text": np.array([[0, 1]], dtype=np.uint8)}
    x = np.ones((1, 2), dtype=np.float32)
    with pytest.raises(MethodError, match="selection=last"):
        validation_map({"image": x, "text": x}, labels)


# --- all four methods -----------------------------------------------------------------------------------------------


def fitted(cls, train=None, val=None, seed=0, **params):
    method = cls(**{**SMALL[cls], **params})
    return method.fit(train or small_items(), val or small_items(n=21, seed=1), Context(seed=seed))


def encoded(method, part):
    return {m: method.encode(m, items.features) for m, items in part.items()}


@pytest.mark.parametrize("name", ["lcm", "drcl", "dscmr", "clip4cmr"])
def test_importing_a_method_does_not_import_torch(name):
    code = f"import sys, cmrbench_methods.supervised_real.{name}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@METHODS
def test_same_seed_same_bits_and_global_generators_left_alone(cls):
    test = small_items(n=30, seed=2)
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = encoded(fitted(cls), test)
    assert torch.equal(torch.random.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    torch.manual_seed(123)
    again, other = encoded(fitted(cls), test), encoded(fitted(cls, seed=1), test)
    for m in test:
        assert np.array_equal(first[m], again[m])
        assert not np.array_equal(first[m], other[m])


@METHODS
def test_validation_items_only_choose_the_epoch(cls):
    """What is learned in an epoch does not depend on the validation items."""
    test, val = small_items(n=30, seed=2), small_items(n=21, seed=1)
    poisoned = {m: replace(items, features=np.full_like(items.features, np.nan)) for m, items in val.items()}
    last = encoded(fitted(cls, val=val, selection="last"), test)
    with_poison = encoded(fitted(cls, val=poisoned, selection="last"), test)
    for m in test:
        assert np.array_equal(last[m], with_poison[m])


@METHODS
def test_selection_on_val_without_val_is_refused(cls):
    for val in (None, small_items(n=0)):
        with pytest.raises(MethodError, match=r"validation items.*selection=last"):
            cls(**SMALL[cls]).fit(small_items(), val, Context())
    with pytest.raises(MethodError, match="selection is 'test'"):
        cls(**SMALL[cls], selection="test").fit(small_items(), small_items(), Context())


@pytest.mark.parametrize("cls", [DSCMR, CLIP4CMR, LCM], ids=lambda cls: cls.info.name)
def test_selection_ranks_validation_items_and_nothing_else(cls, monkeypatch):
    """Query and gallery are never opened by `fit`; here: every ranking is of validation items, looked up in train."""
    import cmrbench.retrieval

    seen = []
    original = cmrbench.retrieval.rank

    def spy(strategy, query, gallery, train=None, *args, **options):
        seen.append((strategy, query.labels, gallery.labels, None if train is None else train.labels))
        return original(strategy, query, gallery, train, *args, **options)

    monkeypatch.setattr(cmrbench.retrieval, "rank", spy)
    train, val = small_items(), small_items(n=21, seed=1)
    fitted(cls, train, val)
    assert seen
    for strategy, query, gallery, known in seen:
        assert strategy == ("2sknn" if cls is LCM else "cosine")
        assert np.array_equal(query, val["image"].labels)
        assert np.array_equal(gallery, val["image"].labels)
        assert known is None or np.array_equal(known, train["image"].labels)


@METHODS
def test_the_kept_epoch_is_the_best_on_validation_items(cls):
    """With the kept epoch as the number of epochs, no selection gives the same bits."""
    method = fitted(cls, epochs=12, standardize=True)
    epochs = method.epochs_ if cls is DRCL else {"image": method.epoch_, "text": method.epoch_}
    test = small_items(n=30, seed=2)
    for m, epoch in epochs.items():
        if cls is DRCL and epoch != 12:
            continue  # fewer epochs of DRCL would also change its prior
        cut = fitted(cls, epochs=epoch, standardize=True, selection="last")
        assert np.array_equal(method.encode(m, test[m].features), cut.encode(m, test[m].features))


@METHODS
def test_loss_that_is_not_finite_is_named(cls):
    with pytest.raises(MethodError, match=rf"^{cls.info.name}: the .* (epoch|round) \d+ is (nan|inf): lower the"):
        fitted(cls, lr=1e37)


@METHODS
def test_progress_is_reported_to_the_end(cls):
    calls = []
    context = Context(progress=lambda done, total, note: calls.append((done, total)))
    cls(**SMALL[cls], selection="last").fit(small_items(), None, context)
    totals = {total for _, total in calls}
    assert len(totals) == 1
    assert [done for done, _ in calls] == list(range(1, totals.pop() + 1))


@METHODS
def test_learns_what_can_be_learned(cls):
    quick = {**cls.PRESETS["quick"]}
    if cls is LCM:  # its selection looks at the two-stage search, which is perfect here long before the space is
        quick |= {"selection": "last"}
    train, val, test = (small_items(n=n, seed=s, noise=0.3) for n, s in ((150, 0), (30, 1), (60, 2)))
    method = cls(**quick).fit(train, val, Context())
    chance = validation_map({m: i.features[:, :5] for m, i in test.items()}, {m: i.labels for m, i in test.items()})
    value = validation_map(encoded(method, test), {m: i.labels for m, i in test.items()})
    assert value > 0.9 > chance + 0.2


@METHODS
def test_presets_name_parameters(cls):
    assert {"quick", "paper"} <= set(cls.PRESETS)
    for preset in cls.PRESETS.values():
        cls(**preset)
    assert set(inspect.signature(cls).parameters) >= {"standardize", "selection", "dim", "epochs", "batch", "lr"}
