"""DSCMR: deep supervised cross-modal retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo, paired_rows
from cmrbench_methods.blocks.selection import Best, check_selection, label_arrays, validation_map
from cmrbench_methods.blocks.training import DeepMethod, batches, forward_all, run_epoch, seeded

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from cmrbench.core.items import Items


class DSCMR(DeepMethod):
    """Deep supervised cross-modal retrieval (Zhen et al., CVPR 2019).

    ``u = ReLU(A_m x)`` per modality, then one linear layer f = A_s u and one linear classifier z = A_c f that both
    modalities share; f is the representation. Loss (eq. 7): labels, similarities of all pairs, distance of true pairs.

    Follows the released code (penghu-cs/DSCMR, 0e110b9): batches in the order of the items, last short batch kept,
    un-squared norms, S = Y Y^T (a count of shared labels where there are several). It departs from it in the epoch
    that is kept: the one with the best mAP on validation items; the code keeps the one with the best mAP on the
    *test* items.

    Parameters
    ----------
    hidden : int
        Width of u.
    dim : int
        Width of f; `Context.dim` overrides it.
    alpha, beta : float
        Weights of the similarity loss and the pair loss.
    lr : float
    batch, epochs : int
    selection : str
        ``"val"``: the epoch with the best mean mAP on validation items; ``"last"``.
    standardize : bool
        Whether to standardise features by the training items.
    """

    info = MethodInfo(
        name="dscmr",
        title="DSCMR",
        category="supervised_real",
        supervision="labels",
        group="CNN-RNN",
        venue="CVPR19",
        citation=Citation(
            key="zhen2019dscmr",
            kind="inproceedings",
            author="Liangli Zhen and Peng Hu and Xu Wang and Dezhong Peng",
            title="Deep supervised cross-modal retrieval",
            venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
            year=2019,
            pages="10394-10403",
            doi="10.1109/CVPR.2019.01064",
        ),
        url="https://github.com/penghu-cs/DSCMR",
        selects=True,
        torch=True,
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"hidden": 512, "dim": 256, "lr": 1e-3, "epochs": 30, "standardize": True},
    }

    def __init__(
        self,
        hidden: int = 2048,
        dim: int = 1024,
        alpha: float = 1e-3,
        beta: float = 1e-1,
        lr: float = 1e-4,
        batch: int = 100,
        epochs: int = 500,
        selection: str = "val",
        standardize: bool = False,
    ) -> None:
        self.hidden = hidden
        self.dim = dim
        self.alpha = alpha
        self.beta = beta
        self.lr = lr
        self.batch = batch
        self.epochs = epochs
        self.selection = selection
        self.standardize = standardize

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Train both networks together."""
        import torch
        from torch import nn

        check_selection("dscmr", self.selection, val)
        paired_rows(train, "dscmr")
        self.start(train)
        X, Ys = self.tensors(train, context)
        X_val, _ = self.tensors(val or {}, context)
        a, b = X
        Y = Ys[a]

        with seeded(context.seed_for("dscmr"), context.device):
            dim = context.dim or self.dim
            shared, classifier = nn.Linear(self.hidden, dim), nn.Linear(dim, Y.shape[1])
            nets = {m: nn.Sequential(nn.Linear(x.shape[1], self.hidden), nn.ReLU(), shared) for m, x in X.items()}
            model = nn.ModuleList([*nets.values(), classifier]).to(context.device)
            optimizer = torch.optim.Adam(model.parameters(), lr=self.lr, betas=(0.5, 0.999))
            best = Best(model)

            def loss(rows: Tensor) -> Tensor:
                Fa, Fb = nets[a](X[a][rows]), nets[b](X[b][rows])
                return self._loss(Fa, Fb, classifier(Fa), classifier(Fb), Y[rows])

            for epoch in range(1, self.epochs + 1):
                rows = batches(len(Y), self.batch, shuffle=False)
                note = f"loss {run_epoch(rows, loss, optimizer, f'dscmr: the loss in epoch {epoch}'):.4f}"
                if self.selection == "val" and val is not None:
                    value = validation_map(forward_all(nets, X_val), label_arrays(val))
                    best.update(value, epoch)
                    note += f", validation mAP {value:.3f}"
                context.progress(epoch, self.epochs, note)
            best.restore()
        self.epoch_ = best.epoch or self.epochs
        self.finish(nets, context)
        return self

    def _loss(self, Fa: Tensor, Fb: Tensor, Za: Tensor, Zb: Tensor, Y: Tensor) -> Tensor:
        """Eq. 7: L1 + alpha L2 + beta L3."""
        from cmrbench_methods.blocks.losses import label_residual, pair_likelihood

        S = Y @ Y.T
        L1 = label_residual(Za, Y) + label_residual(Zb, Y)
        L2 = pair_likelihood(Fa, Fa, S) + pair_likelihood(Fa, Fb, S) + pair_likelihood(Fb, Fb, S)
        L3 = label_residual(Fa, Fb)
        return L1 + self.alpha * L2 + self.beta * L3
