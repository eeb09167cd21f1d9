"""LCM: lightweight framework for cross-modal retrieval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo, paired_rows
from cmrbench_methods.blocks.selection import Best, check_selection, label_arrays, validation_2sknn
from cmrbench_methods.blocks.training import DeepMethod, batches, forward, forward_all, run_epoch, seeded

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from cmrbench.core.items import Items


class LCM(DeepMethod):
    """Lightweight framework for cross-modal retrieval (Dwijesh, Bithel and Bedathur, CODS-COMAD 2023).

    Every training item i has a pivot B_i in {-1, +1}^L. Shallow encoders F and G learn to hit the pivots from the
    features of their modality, an auto-encoder (E, D) from the labels; in turn, the pivots become the sign of a
    weighted sum of the three. Ranked by Euclidean distance, and by the paper's two-stage search ``2sknn``, which
    orders the gallery by its *true labels* and is reported apart for that reason.

    No code has been released; the paper is followed, and where it leaves a choice: linear, batch normalisation,
    sigmoid, dropout, linear, tanh in F and G; one epoch of each network per round; E and D share an optimiser;
    features are not normalised (the paper's "Normalize q" does not say what or how); the encoders are in eval mode
    when the pivots are updated; sign(0) = +1; a, b, c weight the pivot update only, since the pivot loss has no
    gradient; the round is chosen by the mAP of the two-stage search among validation items. The "unsupervised LCM"
    of the paper's tables is not defined in it and is not here.

    Parameters
    ----------
    dim : int
        L, dimension of the common space; `Context.dim` overrides it.
    hidden : int
        Width of the encoders' hidden layer.
    dropout : float
    a, b, c : float
        Weights of the first modality, the second modality and the labels in the pivots (eq. 6).
    sigma : float
        Weight of the latent loss against the reconstruction loss (eq. 5).
    k : int
        K, neighbours in the first stage of ``2sknn``.
    lr : float
    batch, epochs : int
        Batch size, and the largest number of rounds.
    check_every, patience : int
        Validation every `check_every` rounds; training stops after `patience` validations without a better mAP.
    selection : str
        ``"val"``, or ``"last"``: all `epochs`, no early stop.
    standardize : bool
        Whether to standardise features by the training items.
    """

    info = MethodInfo(
        name="lcm",
        title="LCM",
        category="supervised_real",
        supervision="labels",
        retrieval=("euclidean", "2sknn"),
        group="Auto-encoder",
        venue="CODS-COMAD23",
        citation=Citation(
            key="dwijesh2023lcm",
            kind="inproceedings",
            author="Gohil Dwijesh and Shivangi Bithel and Srikanta Bedathur",
            title="LCM: A surprisingly effective framework for supervised cross-modal retrieval",
            venue="6th Joint International Conference on Data Science and Management of Data (CODS-COMAD)",
            year=2023,
            doi="10.1145/3570991.3571048",
        ),
        url="https://doi.org/10.1145/3570991.3571048",
        selects=True,
        torch=True,
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"lr": 5e-3, "epochs": 80, "standardize": True},
        # On easy data the two-stage search is perfect from the first validation on, long before distances are good.
        "check": {"epochs": 30, "check_every": 30},
    }

    def __init__(
        self,
        dim: int = 32,
        hidden: int = 256,
        dropout: float = 0.2,
        a: float = 1e-2,
        b: float = 1e-2,
        c: float = 1e-1,
        sigma: float = 1e-2,
        k: int = 50,
        lr: float = 1e-3,
        batch: int = 64,
        epochs: int = 1000,
        check_every: int = 5,
        patience: int = 10,
        selection: str = "val",
        standardize: bool = False,
    ) -> None:
        self.dim = dim
        self.hidden = hidden
        self.dropout = dropout
        self.a = a
        self.b = b
        self.c = c
        self.sigma = sigma
        self.k = k
        self.lr = lr
        self.batch = batch
        self.epochs = epochs
        self.check_every = check_every
        self.patience = patience
        self.selection = selection
        self.standardize = standardize

    def retrieval_options(self, strategy: str) -> Mapping[str, Any]:
        """K for the two-stage search."""
        return {"k": self.k} if strategy == "2sknn" else {}

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Train F, G and (E, D) in turn, one epoch each, and update the pivots after every round."""
        import torch

        from cmrbench_methods.blocks.nets import LabelAutoencoder, LightEncoder

        check_selection("lcm", self.selection, val)
        paired_rows(train, "lcm")
        self.start(train)
        X, Ys = self.tensors(train, context)
        X_val, _ = self.tensors(val or {}, context)
        v, t = X
        Y = Ys[v]
        k = min(self.k, len(Y))

        with seeded(context.seed_for("lcm"), context.device):
            L = context.dim or self.dim
            nets = {m: LightEncoder(x.shape[1], self.hidden, L, self.dropout).to(context.device) for m, x in X.items()}
            labels = LabelAutoencoder(Y.shape[1], L).to(context.device)
            B = torch.where(torch.rand(len(Y), L) < 0.5, -1.0, 1.0).to(context.device)
            best = Best(*nets.values(), patience=self.patience)

            def to_pivots(m: str) -> Callable[[Tensor], Tensor]:
                return lambda rows: squared_error(B[rows], nets[m](X[m][rows]))  # eq. 3 and 4

            def intra(rows: Tensor) -> Tensor:  # eq. 5
                code, back = labels(Y[rows])
                return squared_error(Y[rows], back) + self.sigma * squared_error(B[rows], code)

            networks = [(f"pivot loss of {m}", nets[m], to_pivots(m)) for m in (v, t)] + [("label loss", labels, intra)]
            stages = [(what, loss, torch.optim.Adam(net.parameters(), lr=self.lr)) for what, net, loss in networks]
            for epoch in range(1, self.epochs + 1):
                for what, loss, optimizer in stages:
                    rows = batches(len(Y), self.batch, at_least=2)
                    value = run_epoch(rows, loss, optimizer, f"lcm: the {what} in round {epoch}")
                codes = [forward(net, x) for net, x in ((nets[v], X[v]), (nets[t], X[t]), (labels.encoder, Y))]
                B.copy_(pivots(codes, (self.a, self.b, self.c)))
                note = f"label loss {value:.4f}"
                if self.selection == "val" and val is not None and epoch % self.check_every == 0:
                    codes_val, codes_train = forward_all(nets, X_val), forward_all(nets, X)
                    score = validation_2sknn(codes_val, label_arrays(val), codes_train, label_arrays(train), k=k)
                    best.update(score, epoch)
                    note += f", validation 2Sknn mAP {score:.3f}"
                context.progress(epoch, self.epochs, note)
                if best.exhausted:
                    break
            best.restore()
        self.epoch_ = best.epoch or self.epochs
        self.finish(nets, context)
        return self


def squared_error(A: Tensor, B: Tensor) -> Tensor:
    """mean_i ||a_i - b_i||^2."""
    return (A - B).square().sum(1).mean()


def pivots(codes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """B = sign(a F(X) + b G(X) + c E(Y)), sign(0) = +1 (eq. 6)."""
    total = sum(weight * code for weight, code in zip(weights, codes, strict=True))
    return (total >= 0).to(codes[0].dtype) * 2 - 1
