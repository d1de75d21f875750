"""Time to the held-out error that each peer reaches with its own defaults; encoding speed; one fit end to end.

    python benchmarks/fit_speed.py [DATA_FOLDER] [--rounds 5] [--threads N] [--only NAME ...] [--skip-cli]
    python benchmarks/fit_speed.py --install-peers ...      the same, in an environment made for it

Two tasks: a 20,000 x 30 table (generated, seeded: eight hidden numbers through random tanh layers, and noise)
with a 30-32-8-32-30 network, and Fashion-MNIST (20,000 pictures, from DATA_FOLDER/images) with
784-256-64-256-784. A peer keeps its own defaults (optimiser, rate, batch size, epochs); only the layers are
set, and PyOD's scaling is switched off, so that all see the same numbers. Two rows are not defaults and say so:
skorch with Adam, and Keras with 10 epochs (its default of 1 is a row too).

A round: the peer trains and its held-out mean squared error is taken; then we train with growing numbers of
epochs until ours is at or below it, and the time of that whole fit (PCA start, held-out checks and all; not the
attempts that stopped short) is taken. Ratios are formed within a round; medians and ranges are printed. Both
sides use the same number of threads, and each peer is run once on a few items before it is timed, so that what
it imports late does not count. A peer that is not installed or fails is named.

"PCA" stands where our start, before any training, is already at or below the peer's error.

Peers are not dependencies: ``--install-peers`` puts them beside this file in ``.peers``, one by one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from latentspace import Autoencoder

HERE = Path(__file__).resolve().parent
#: above this load average others are at work, and times mean little
QUIET = 0.5
#: items of the untimed first run of a peer
FEW = 500
EPOCHS = (0, 1, 2, 4, 8, 16, 32, 64, 128)

Fit = Callable[[np.ndarray, int, int], Callable[[np.ndarray], np.ndarray]]


def table(n: int = 20_000) -> np.ndarray:
    """(n, 30) float32, standardised."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(n, 8))
    h = np.tanh(h @ rng.normal(size=(8, 32)) / 2) @ rng.normal(size=(32, 30)) + 0.1 * rng.normal(size=(n, 30))
    return ((h - h.mean(axis=0)) / h.std(axis=0)).astype(np.float32)


def fashion(folder: Path) -> np.ndarray:
    """(20000, 784) float32 in 0..1."""
    arrays = np.load(folder / "images" / "fashion_mnist_20k.npz")
    pixels = np.concatenate([arrays["X_train"], arrays["X_test"]])
    return np.random.default_rng(0).permutation(pixels.reshape(len(pixels), -1)).astype(np.float32) / 255


def mse(reconstruct: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    return float(((np.asarray(reconstruct(x)).reshape(x.shape) - x) ** 2).mean())


# peers: each trains on x (n, F) with layers F-hidden-latent-hidden-F and returns x -> reconstruction


def mlp_regressor(x: np.ndarray, hidden: int, latent: int) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(hidden_layer_sizes=(hidden, latent, hidden), random_state=0).fit(x, x).predict


class Plain(nn.Module):
    """F-hidden-latent-hidden-F with ReLU, for skorch."""

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent),
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def skorch(x: np.ndarray, hidden: int, latent: int, optimizer: type = torch.optim.SGD) -> Callable:
    from skorch import NeuralNetRegressor

    torch.manual_seed(0)
    net = NeuralNetRegressor(Plain(x.shape[1], hidden, latent), verbose=0, optimizer=optimizer)
    return net.fit(x, x).predict


def skorch_adam(x: np.ndarray, hidden: int, latent: int) -> Callable:
    return skorch(x, hidden, latent, torch.optim.Adam)


def keras(x: np.ndarray, hidden: int, latent: int, epochs: int = 1) -> Callable:
    from keras import Input, Sequential, layers, utils

    utils.set_random_seed(0)
    size = x.shape[1]
    model = Sequential([
        Input((size,)), layers.Dense(hidden, activation="relu"), layers.Dense(latent),
        layers.Dense(hidden, activation="relu"), layers.Dense(size),
    ])  # fmt: skip
    model.compile("adam", "mse")
    model.fit(x, x, epochs=epochs, verbose=0)
    return lambda a: model.predict(a, verbose=0)


def keras_longer(x: np.ndarray, hidden: int, latent: int) -> Callable:
    return keras(x, hidden, latent, epochs=10)


def pyod(x: np.ndarray, hidden: int, latent: int) -> Callable:
    from pyod.models.auto_encoder import AutoEncoder

    model = AutoEncoder(hidden_neuron_list=[hidden, latent], preprocessing=False, verbose=0, random_state=0)
    model.fit(x)

    def reconstruct(a: np.ndarray) -> np.ndarray:
        model.model.eval()
        with torch.no_grad():
            return model.model(torch.from_numpy(a)).numpy()

    return reconstruct


def pythae(x: np.ndarray, hidden: int, latent: int) -> Callable:
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    size = x.shape[1]

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent))

        def forward(self, a: torch.Tensor) -> ModelOutput:
            return ModelOutput(embedding=self.layers(a))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size))

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    torch.manual_seed(0)
    model = AE(AEConfig(input_dim=(size,), latent_dim=latent), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(output_dir=folder, no_cuda=True)
        pipeline = TrainingPipeline(training_config=settings, model=model)
        pipeline(train_data=x)
    model.eval()

    def reconstruct(a: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model.decoder(model.encoder(torch.from_numpy(a)).embedding).reconstruction.numpy()

    return reconstruct


PEERS: dict[str, Fit] = {
    "PyOD AutoEncoder": pyod,
    "pythae AE": pythae,
    "skorch (its SGD)": skorch,
    "skorch (Adam)": skorch_adam,
    "Keras on torch (1 epoch)": keras,
    "Keras on torch (10 epochs)": keras_longer,
    "MLPRegressor": mlp_regressor,
}


def quiet(fit: Fit, *arguments: object) -> tuple[Callable, float]:
    """A peer's fit without its prints, and its seconds."""
    with open(os.devnull, "w") as nowhere:
        out, err, sys.stdout, sys.stderr = sys.stdout, sys.stderr, nowhere, nowhere
        began = time.perf_counter()
        try:
            made = fit(*arguments)
        finally:
            sys.stdout, sys.stderr = out, err
    return made, time.perf_counter() - began


def ours(x: np.ndarray, test: np.ndarray, hidden: int, latent: int, goal: float) -> tuple[float, float, int]:
    """(seconds, error, epochs) of the first fit that is at or below `goal`, else of the longest."""
    from latentspace.data.vectors import Vectors

    for epochs in EPOCHS:
        model = Autoencoder(latent, hidden=(hidden,), modality=Vectors(), epochs=epochs, random_state=0)
        began = time.perf_counter()
        model.fit(x)
        seconds = time.perf_counter() - began
        error = mse(model.reconstruct, test)
        if error <= goal:
            break
    return seconds, error, epochs


def race(
    name: str, x: np.ndarray, hidden: int, latent: int, rounds: int, threads: int, only: list[str]
) -> None:
    test, train = x[: len(x) // 5], x[len(x) // 5 :]
    print(f"\n{name}: {x.shape[1]}-{hidden}-{latent}-{hidden}-{x.shape[1]}, {len(train):,} items, "
          f"{threads} threads, {rounds} rounds")  # fmt: skip
    print("peer\tits MSE\tits s\tour MSE\tour s\tour epochs\ttimes faster: median (range)")
    torch.set_num_threads(threads)
    for peer, fit in PEERS.items():
        if only and not any(word.lower() in peer.lower() for word in only):
            continue
        ratios = []
        try:
            quiet(fit, train[:FEW], hidden, latent)
            for _ in range(rounds):
                reconstruct, seconds = quiet(fit, train, hidden, latent)
                goal = mse(reconstruct, test)
                torch.set_num_threads(threads)
                own, error, epochs = ours(train, test, hidden, latent, goal)
                if error > goal:
                    print(f"{peer}\t{goal:.5f}\t{seconds:.2f}\t{error:.5f}\tNOT REACHED in {epochs} epochs")
                    break
                ratios.append(seconds / own)
            else:
                print(f"{peer}\t{goal:.5f}\t{seconds:.2f}\t{error:.5f}\t{own:.2f}\t{epochs or 'PCA'}\t"
                      f"{np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})", flush=True)  # fmt: skip
        except Exception as failure:
            print(f"{peer}\tcould not be run: {type(failure).__name__}: {str(failure)[:150]}", flush=True)


def encoding(rounds: int = 20) -> None:
    """Rows a second of encode (784 -> 64, hidden 256) as a share of its bare matrix products' speed."""
    x = np.random.default_rng(0).normal(size=(20_000, 784)).astype(np.float32)
    model = Autoencoder(64, hidden=(256,), epochs=0, random_state=0).fit(x[:2000])
    torch.set_num_threads(1)
    e = model.network_.encoder
    both, z = torch.empty(1024, 320), torch.empty(1024, 64)
    first, last, hidden = (
        e.first.weight.t().contiguous(),
        e.last.weight.t().contiguous(),
        torch.randn(1024, 256),
    )
    rows, ratios = torch.from_numpy(x), []
    for _ in range(rounds):
        began = time.perf_counter()
        with torch.inference_mode():
            for start in range(0, 19_456, 1024):
                torch.mm(rows[start : start + 1024], first, out=both)
                torch.mm(hidden, last, out=z)
        limit = (time.perf_counter() - began) / 19_456
        began = time.perf_counter()
        model.encode(x)
        ratios.append(limit / ((time.perf_counter() - began) / len(x)))
    print(f"\nencode: {np.median(ratios):.2f} of the matrix-product limit "
          f"({min(ratios):.2f} to {max(ratios):.2f}), {1 / limit:,.0f} rows/s limit, 1 thread")  # fmt: skip


#: runs the command and says its own peak: a parent's ru_maxrss would count what the parent held when it forked
MEASURED = """
import sys
from latentspace.cli import main
code = main(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024 / 1e6, file=sys.stderr)
sys.exit(code)
"""


def end_to_end(folder: Path) -> None:
    """Wall time and peak memory (Linux) of ``latentspace fit`` on the 20,000 pictures, in a process of its own."""
    data = folder / "images" / "fashion_mnist_20k.npz"
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", MEASURED, "fit", str(data), f"{out}/x.space"]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    peak = float(done.stderr.split()[-1])
    allowed = 3 * 20_000 * 784 * 4 / 1e6 + 400
    print(f"\nlatentspace fit {data.name}: {seconds:.0f} s, peak {peak:.0f} MB (allowance {allowed:.0f} MB)")


def install_peers() -> Path:
    """Make the peers' environment where it is not there yet; a peer that cannot be installed is named."""
    python = HERE / ".peers" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HERE / ".peers"], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "-c", HERE.parent / "constraints.txt"]
    wanted = [line for line in (HERE / "peers.txt").read_text().splitlines() if line and line[0] != "#"]
    for peer in wanted:
        if subprocess.run([*pip, peer]).returncode:
            print(f"{peer} could not be installed; it will be named in the table.")
    subprocess.run([*pip, "-e", HERE.parent], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--skip-cli", action="store_true")
    parser.add_argument("--install-peers", action="store_true")
    options = parser.parse_args()
    if options.install_peers:
        python = str(install_peers())
        os.execv(python, [python, __file__, *(word for word in sys.argv[1:] if word != "--install-peers")])
    warnings.simplefilter("ignore")
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    print(f"{cores} cores, load {load:.2f}, torch {torch.__version__}")
    if load > QUIET:
        print("WARNING: this machine is not quiet; only the ratios mean anything, and not much.")
    few, many = options.threads or 1, options.threads or cores
    with threadpool_limits(few):
        race("Small table", table(), 32, 8, options.rounds, few, options.only)
    if options.data is not None:
        with threadpool_limits(many):
            rounds = max(1, round(options.rounds * 0.6))
            race("Fashion-MNIST", fashion(options.data), 256, 64, rounds, many, options.only)
    encoding()
    if options.data is not None and not options.skip_cli:
        end_to_end(options.data)


if __name__ == "__main__":
    main()
