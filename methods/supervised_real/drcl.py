"""DRCL: deep reversible consistency learning, for any number of modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.selection import Best, check_selection
from cmrbench_methods.blocks.training import DeepMethod, batches, finite, forward, run_epoch, seeded

if TYPE_CHECKING:
    from torch import Tensor, nn
    from typing_extensions import Self

    from cmrbench.core.items import Items


class DRCL(DeepMethod):
    """Deep reversible consistency learning (Pu et al., IEEE TMM 2025).

    One network per modality maps features x to a unit vector f. First, selective prior learning (SPL) trains every
    modality by itself together with a d x C matrix W, and keeps the W of the modality that predicts its own training
    labels best: the *prior*. Then reversible semantic consistency (RSC) trains fresh networks, every modality by
    itself, towards that frozen prior: W predicts labels from features, its pseudo-inverse L = W^+ recasts labels into
    features. Modalities meet only through W, so items need not be paired and any number of modalities will do.

    Follows the released code (perquisite/DRCL, 91910a0), which differs from the paper: the similarity of eq. 6 is
    twice the cosine; the label loss has the weight eta; the prior is the W of the *last* SPL epoch of the modality
    whose *best* epoch scored highest, on training items. It departs from the code in three ways. The first SPL epoch
    has q = 0, where the code computes 0/0 and its step changes nothing: it is left out. With fewer training items than
    `batch`, all of them are one batch (the code would train on none). In eval and training the norm that f is divided
    by is kept above 1e-12.

    Parameters
    ----------
    hidden : int
        Width of the two ReLU layers.
    dim : int
        d, dimension of the common space (the authors': 2048 for Wikipedia and NUS-WIDE, 512 for XMedia, XMediaNet and
        INRIA-Websearch); `Context.dim` overrides it.
    alpha, beta, eta : float
        Weights of the discrimination, recasting and label losses.
    gamma : float
        Feature augmentation: share of the item itself in the mix with another item of its batch.
    lr : float or mapping of modality to float
        Learning rate of RSC. The authors give one per modality and dataset (presets ``paper`` and ``xmedia``); the
        default is their rate of SPL.
    lr_prior : float
        Learning rate of SPL.
    batch, epochs : int
        Of both stages; the remainder of an epoch's items is left out.
    q_step : float
        q = min(1, q_step * epoch) in the generalised cross entropy.
    prior : str
        ``"last"`` (as released) or ``"best"`` (as the paper reads): which epoch of the chosen modality gives W.
    selection : str
        ``"val"``: per modality the epoch with the smallest loss on validation items; ``"last"``.
    standardize : bool
        Whether to standardise features by the training items.
    """

    info = MethodInfo(
        name="drcl",
        title="DRCL",
        category="supervised_real",
        supervision="labels",
        group="Paired-free",
        venue="TMM25",
        citation=Citation(
            key="pu2025drcl",
            kind="article",
            author="Ruitao Pu and Yang Qin and Dezhong Peng and Xiaomin Song and Huiming Zheng",
            title="Deep reversible consistency learning for cross-modal retrieval",
            venue="IEEE Transactions on Multimedia",
            year=2025,
            url="https://arxiv.org/abs/2501.05686",
        ),
        url="https://github.com/perquisite/DRCL",
        modalities=(2, None),
        pairs=False,
        selects=True,
        torch=True,
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"lr": {"image": 6e-6, "text": 5e-3}},
        "xmedia": {
            "dim": 512,
            "epochs": 300,
            "lr": {"image": 8e-4, "text": 3e-4, "audio": 8e-4, "3d": 3e-3, "video": 4e-4},
        },
        "quick": {
            "hidden": 256,
            "dim": 128,
            "lr": 1e-3,
            "lr_prior": 1e-3,
            "batch": 256,
            "epochs": 40,
            "q_step": 0.05,
            "standardize": True,
        },
        "check": {"hidden": 128, "dim": 32, "epochs": 20, "lr": 1e-3},
    }

    def __init__(
        self,
        hidden: int = 4096,
        dim: int = 2048,
        alpha: float = 0.1,
        beta: float = 0.1,
        eta: float = 1.0,
        gamma: float = 0.9,
        lr: float | Mapping[str, float] = 5e-4,
        lr_prior: float = 5e-4,
        batch: int = 1024,
        epochs: int = 200,
        q_step: float = 0.01,
        prior: str = "last",
        selection: str = "val",
        standardize: bool = False,
    ) -> None:
        self.hidden = hidden
        self.dim = dim
        self.alpha = alpha
        self.beta = beta
        self.eta = eta
        self.gamma = gamma
        self.lr = lr
        self.lr_prior = lr_prior
        self.batch = batch
        self.epochs = epochs
        self.q_step = q_step
        self.prior = prior
        self.selection = selection
        self.standardize = standardize

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn the prior, then one network per modality."""
        check_selection("drcl", self.selection, val)
        if self.prior not in ("last", "best"):
            raise MethodError(f"drcl: prior is {self.prior!r}, expected last or best")
        rates = self._rates(train)
        self.start(train)
        X, Y = self.tensors(train, context)
        X_val, Y_val = self.tensors(val or {}, context)
        progress = _Counter(context, 2 * self.epochs * len(X))

        priors = {m: self._learn_prior(m, X[m], Y[m], context, progress) for m in X}
        self.quality_ = {m: score for m, (_, score) in priors.items()}
        self.prior_modality_ = max(self.quality_, key=lambda m: self.quality_[m])  # the first one where equal
        W = priors[self.prior_modality_][0]
        self.W_ = W.cpu().numpy()

        nets, self.epochs_ = {}, {}
        for m in X:
            on_val = (X_val[m], Y_val[m]) if self.selection == "val" else None
            nets[m], self.epochs_[m] = self._learn_network(m, (X[m], Y[m]), on_val, W, rates[m], context, progress)
        self.finish(nets, context)
        return self

    def _rates(self, train: Mapping[str, Items]) -> dict[str, float]:
        if not isinstance(self.lr, Mapping):
            return dict.fromkeys(train, self.lr)
        missing = [m for m in train if m not in self.lr]
        if missing:
            raise MethodError(
                f"drcl: lr has rates for {', '.join(self.lr)} but none for {', '.join(missing)}; "
                "give one number, or a rate for every modality"
            )
        return {m: self.lr[m] for m in train}

    def _network(self, d_in: int, context: Context) -> nn.Module:
        from cmrbench_methods.blocks.nets import UnitMLP

        return UnitMLP(d_in, self.hidden, context.dim or self.dim).to(context.device)

    def _learn_prior(
        self, modality: str, X: Tensor, Y: Tensor, context: Context, progress: _Counter
    ) -> tuple[Tensor, float]:
        """SPL: W (d, C) of one modality, and its quality score, the mean probability of the true training labels."""
        import torch

        from cmrbench_methods.blocks.losses import generalized_cross_entropy

        with seeded(
            context.seed_for("drcl", "prior"), context.device
        ):  # the same start for every modality, as released
            W = orthogonal_start(context.dim or self.dim, Y.shape[1]).to(context.device).requires_grad_()
            net = self._network(X.shape[1], context)
            optimizer = torch.optim.Adam([*net.parameters(), W], lr=self.lr_prior, betas=(0.5, 0.999))
            quality, best_W = 0.0, W.detach().clone()
            for epoch in range(self.epochs):
                q = min(1.0, self.q_step * epoch)

                def label_loss(rows: Tensor, q: float = q) -> Tensor:
                    return generalized_cross_entropy((net(X[rows]) @ W).softmax(1), Y[rows], q)

                if q > 0:
                    what = f"drcl: the prior's label loss of {modality} in epoch {epoch + 1}"
                    run_epoch(batches(len(X), self.batch, drop_last=True), label_loss, optimizer, what)
                with torch.no_grad():
                    score = float((Y * (forward(net, X) @ W).softmax(1)).sum(1).mean())
                if score > quality:
                    quality, best_W = score, W.detach().clone()
                progress.step(f"prior of {modality}, quality {score:.3f}")
        return (best_W if self.prior == "best" else W.detach()), quality

    def _learn_network(
        self,
        modality: str,
        on_train: tuple[Tensor, Tensor],
        on_val: tuple[Tensor, Tensor] | None,
        W: Tensor,
        lr: float,
        context: Context,
        progress: _Counter,
    ) -> tuple[nn.Module, int]:
        """RSC: the network of one modality, and the epoch that it is from."""
        import torch

        X, Y = on_train
        L = reverse(W)
        with seeded(context.seed_for("drcl", "network"), context.device):
            net = self._network(X.shape[1], context)
            best = Best(net)
            optimizer = torch.optim.Adam(net.parameters(), lr=lr, betas=(0.5, 0.999))
            for epoch in range(1, self.epochs + 1):
                q = min(1.0, self.q_step * epoch)

                def mixed_loss(rows: Tensor, q: float = q) -> Tensor:
                    other = torch.randperm(len(rows)).to(X.device)
                    F, target = net(X[rows]), Y[rows]
                    F = self.gamma * F + (1 - self.gamma) * F[other]
                    target = self.gamma * target + (1 - self.gamma) * target[other]
                    return self._consistency(F, target, W, L, q)

                what = f"drcl: the consistency loss of {modality} in epoch {epoch}"
                loss = run_epoch(batches(len(X), self.batch, drop_last=True), mixed_loss, optimizer, what)
                if on_val is not None:
                    with torch.no_grad():
                        loss = float(self._consistency(forward(net, on_val[0]), on_val[1], W, L, q))
                    best.update(-finite(loss, what + " on validation items"), epoch)
                progress.step(f"{modality}, loss {loss:.4f}")
            best.restore()
        return net, best.epoch or self.epochs

    def _consistency(self, F: Tensor, Y: Tensor, W: Tensor, L: Tensor, q: float) -> Tensor:
        """The total loss of RSC on features F (n, d) and labels Y (n, C) (eq. 5 to 8, weighted as in the code)."""
        from cmrbench_methods.blocks.losses import generalized_cross_entropy

        R = Y @ L
        recast = (R - F).square().mean()
        label = generalized_cross_entropy((F @ W).softmax(1), Y, q)
        return self.alpha * discrimination(R, F) + self.beta * recast + self.eta * label


def orthogonal_start(dim: int, n_classes: int) -> Tensor:
    """First C columns of a random orthogonal matrix, (d, C); with C > d, orthonormal rows."""
    import torch

    return torch.nn.init.orthogonal_(torch.empty(dim, max(dim, n_classes)))[:, :n_classes].contiguous()


def reverse(W: Tensor) -> Tensor:
    """L = W^+ (C, d), the Moore-Penrose inverse that recasts labels into features (eq. 4)."""
    import torch

    return torch.linalg.pinv(W.double()).to(W.dtype)


def discrimination(R: Tensor, F: Tensor) -> Tensor:
    """L_dis = L_intra + L_inter of recast labels R and features F, both (n, d) (eq. 6).

    L_intra asks R and F for the same similarities among their items; L_inter asks the similarities between R and F to
    be symmetric. A similarity is twice the cosine, as released.
    """
    from torch.nn.functional import normalize

    n, d = F.shape
    R, F = normalize(R, eps=1e-6), normalize(F, eps=1e-6)
    if n <= d:
        within, between = R @ R.T - F @ F.T, R @ F.T
        return 4 * (within.square().mean() + (between - between.T).square().mean())
    # The same sums of squares from d x d products, by ||R R^T||^2 = ||R^T R||^2 and the like.
    RR, FF, FR = R.T @ R, F.T @ F, F.T @ R
    intra = RR.square().sum() + FF.square().sum() - 2 * FR.square().sum()
    inter = 2 * ((RR * FF).sum() - (FR * FR.T).sum())
    return 4 * (intra + inter) / n**2


class _Counter:
    """Counts the epochs of all stages and modalities for the progress line."""

    def __init__(self, context: Context, total: int) -> None:
        self._context, self._total, self._done = context, total, 0

    def step(self, note: str) -> None:
        self._done += 1
        self._context.progress(self._done, self._total, note)
