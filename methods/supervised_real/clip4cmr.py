"""CLIP4CMR: a supervised head on CLIP features, with a choice of losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo, paired_rows
from cmrbench_methods.blocks.selection import Best, check_selection, label_arrays, validation_map
from cmrbench_methods.blocks.training import DeepMethod, batches, forward_all, run_epoch, seeded

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from cmrbench.core.items import Items

    Classifier = Callable[[Tensor], Tensor]

LOSSES = ("pcl", "cel", "lrl", "ml", "cl", "tl", "proxy_nca", "proxy_anchor")


class CLIP4CMR(DeepMethod):
    """Head over CLIP embeddings for supervised retrieval (Zeng and Mao, arXiv 2201.02772, 2022).

    Per modality ``GELU(A_1 x)``, ``A_2``, dropout, unit length; Euclidean order of unit vectors is cosine order. The
    paper compares losses; the default, prototypical contrastive loss (that of PAN, SIGIR 2021), draws every
    item to the prototype of its class.

    Follows the released code (zhixiongz/CLIP4CMR, d8b3901; its file of losses does not parse as released and was read,
    not run): the prototypes are *fixed* random unit vectors, not learned; the prototypical loss is divided by
    the batch size twice; the rows of the shared classifier have unit length. It departs from the code in the epoch
    that is kept, the one with the best mAP on validation instead of *test* items; and where an item has several
    labels, for which the code has no rule: its cross entropy is the mean over its labels, and two items are alike if
    they share a label. Any features will do as input; the paper's are CLIP RN50, 1,024-d.

    Parameters
    ----------
    loss : str
        ``"pcl"`` prototypical contrastive, ``"cel"`` cross entropy, ``"lrl"`` linear regression to labels, ``"ml"``
        modality invariant, ``"cl"`` contrastive, ``"tl"`` triplet, ``"proxy_nca"``, ``"proxy_anchor"``.
    hidden : int
        Width of the GELU layer.
    dim : int
        Dimension of the common space; `Context.dim` overrides it.
    dropout : float
        On the output, before unit length.
    lr : float
    batch, epochs : int
        Batch size, and the largest number of epochs.
    patience : int
        Epochs without a better mAP on validation items after which training stops.
    selection : str
        ``"val"``: the epoch with the best mean mAP on validation items; ``"last"``: all `epochs`, no early stop.
    standardize : bool
        Whether to standardise features by the training items.
    """

    info = MethodInfo(
        name="clip4cmr",
        title="CLIP4CMR",
        category="supervised_real",
        supervision="labels",
        group="Transformer",
        venue="ARXIV22",
        citation=Citation(
            key="zeng2022clip4cmr",
            kind="misc",
            author="Zhixiong Zeng and Wenji Mao",
            title=(
                "A comprehensive empirical study of vision-language pre-trained model for supervised "
                "cross-modal retrieval"
            ),
            venue="arXiv:2201.02772",
            year=2022,
            url="https://arxiv.org/abs/2201.02772",
        ),
        url="https://github.com/zhixiongz/CLIP4CMR",
        selects=True,
        torch=True,
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"dim": 256, "lr": 1e-3, "epochs": 100, "standardize": True},
    }

    def __init__(
        self,
        loss: str = "pcl",
        hidden: int = 256,
        dim: int = 1024,
        dropout: float = 0.1,
        lr: float = 1e-4,
        batch: int = 300,
        epochs: int = 500,
        patience: int = 10,
        selection: str = "val",
        standardize: bool = False,
    ) -> None:
        self.loss = loss
        self.hidden = hidden
        self.dim = dim
        self.dropout = dropout
        self.lr = lr
        self.batch = batch
        self.epochs = epochs
        self.patience = patience
        self.selection = selection
        self.standardize = standardize

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Train both heads together."""
        import torch
        from torch import nn

        from cmrbench_methods.blocks.nets import TwoLayerHead, UnitRowClassifier

        check_selection("clip4cmr", self.selection, val)
        if self.loss not in LOSSES:
            raise MethodError(f"clip4cmr: loss is {self.loss!r}, expected one of {', '.join(LOSSES)}")
        paired_rows(train, "clip4cmr")
        self.start(train)
        X, Ys = self.tensors(train, context)
        X_val, _ = self.tensors(val or {}, context)
        a, b = X
        Y = Ys[a]

        with seeded(context.seed_for("clip4cmr"), context.device):
            dim = context.dim or self.dim
            nets = {m: TwoLayerHead(x.shape[1], self.hidden, dim, self.dropout) for m, x in X.items()}
            classifier = UnitRowClassifier(dim, Y.shape[1])
            model = nn.ModuleList([*nets.values(), classifier]).to(context.device)
            prototypes = fixed_prototypes(dim, Y.shape[1]).to(context.device)
            optimizer = torch.optim.Adam(model.parameters(), lr=self.lr, betas=(0.5, 0.999))
            best = Best(model, patience=self.patience)

            def loss(rows: Tensor) -> Tensor:
                return head_loss(self.loss, nets[a](X[a][rows]), nets[b](X[b][rows]), Y[rows], prototypes, classifier)

            for epoch in range(1, self.epochs + 1):
                what = f"clip4cmr: the {self.loss} loss in epoch {epoch}"
                note = f"loss {run_epoch(batches(len(Y), self.batch), loss, optimizer, what):.4f}"
                if self.selection == "val" and val is not None:
                    value = validation_map(forward_all(nets, X_val), label_arrays(val))
                    best.update(value, epoch)
                    note += f", validation mAP {value:.3f}"
                context.progress(epoch, self.epochs, note)
                if best.exhausted:
                    break
            best.restore()
        self.epoch_ = best.epoch or self.epochs
        self.finish(nets, context)
        return self


def fixed_prototypes(dim: int, n_classes: int) -> Tensor:
    """Random unit vectors, one per class: (d, C). The code's Kaiming start is normal too; its scale cancels out."""
    import torch

    M = torch.randn(dim, n_classes)
    return M / torch.linalg.vector_norm(M, dim=0)


def head_loss(
    name: str, Fa: Tensor, Fb: Tensor, Y: Tensor, M: Tensor, classifier: Callable[[Tensor], Tensor]
) -> Tensor:
    """One of `LOSSES` on the representations Fa, Fb (n, d) of a batch, labels Y (n, C), prototypes M (d, C)."""
    if name in ("pcl", "cel", "lrl", "proxy_nca", "proxy_anchor"):
        return one_view_loss(name, Fa, Y, M, classifier) + one_view_loss(name, Fb, Y, M, classifier)
    return two_view_loss(name, Fa, Fb, Y)


def one_view_loss(name: str, F: Tensor, Y: Tensor, M: Tensor, classifier: Classifier) -> Tensor:
    """The losses that compare items with classes."""
    from cmrbench_methods.blocks.losses import label_residual, soft_cross_entropy, squared_distances

    if name == "pcl":
        return soft_cross_entropy(-squared_distances(F, M.T), Y) / len(F)
    if name == "cel":
        return soft_cross_entropy(classifier(F), Y)
    if name == "lrl":
        return label_residual(classifier(F), Y)
    return (proxy_nca if name == "proxy_nca" else proxy_anchor)(F @ M, Y)


def proxy_nca(cosines: Tensor, Y: Tensor) -> Tensor:
    """-mean log(e^cos_y / sum over the other classes e^cos_c); `cosines` and Y are (n, C)."""
    own = (cosines * Y).sum(1) / Y.sum(1).clamp_min(1)
    return (cosines.masked_fill(Y > 0, -math.inf).logsumexp(1) - own).mean()


def proxy_anchor(cosines: Tensor, Y: Tensor, alpha: float = 1.0, margin: float = 0.1) -> Tensor:
    """Proxy-anchor loss; the mean over prototypes with positives in the batch, plus the mean over all prototypes."""
    positive = Y > 0
    near = ((-alpha * (cosines - margin)).exp() * positive).sum(0).log1p()
    far = ((alpha * (cosines + margin)).exp() * ~positive).sum(0).log1p()
    return near.sum() / positive.any(0).sum().clamp_min(1) + far.mean()


def two_view_loss(name: str, Fa: Tensor, Fb: Tensor, Y: Tensor, margin: float = 0.2) -> Tensor:
    """The losses that compare the items of one modality with those of the other."""
    from cmrbench_methods.blocks.losses import squared_distances

    n = len(Y)
    D = squared_distances(Fa, Fb)
    same = Y @ Y.T > 0
    if name == "ml":
        return (D * same).sum() / n
    if name == "cl":
        return ((D * same).sum() + (margin - D * ~same).clamp_min(0).sum()) / n
    return triplets(D, same, margin) + triplets(D.T, same.T, margin)


def triplets(D: Tensor, same: Tensor, margin: float) -> Tensor:
    """Mean over positive pairs (i, j) of the sum over negatives k of max(0, D_ij - D_ik + margin)."""
    total = D.new_zeros(())
    for row, alike in zip(D, same, strict=True):
        total = total + (row[alike][:, None] - row[~alike][None, :] + margin).clamp_min(0).sum()
    return total / same.sum().clamp_min(1)
