"""Train a reader of handwritten digits: prepare, split, compare candidates, evaluate, deploy, try what was deployed.

    pip install "execution-dataflow[examples]"
    python machine_learning.py

The data is real: 1,797 digits that 13 people wrote by hand, which come with scikit-learn. What it shows:

- cross-validation as a map within a map: every candidate, and of every candidate every fold, side by side;
- worker processes for the fits: some hold the interpreter's lock, and one that does not end can be killed there, in
  native code too; the images lie in shared memory once, and every process reads them where they are;
- a candidate that cannot be fitted, which is reported beside the others instead of ending the search;
- a gate: a model that is not good enough leaves an output unset, and nothing is deployed;
- a deployment that is tried in a process which has only the file, and is taken back when the trial fails;
- a seed: the whole is run twice, with different numbers of workers, and has to come to the same figures.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    ItemFailure,
    MapError,
    Operation,
    OutputPort,
    RetryPolicy,
    WorkerDied,
    mapped,
    operation,
)

FOLDS = 5
TEST_SHARE = 0.2
# A model that does worse than this is not deployed.
REQUIRED_ACCURACY = 0.95


@dataclass(frozen=True)
class Candidate:
    """A kind of model and its hyper-parameters."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in self.settings.items())})"


CANDIDATES = [
    Candidate("commonest digit"),
    Candidate("logistic regression", {"C": 0.05}),
    Candidate("nearest neighbours", {"n_neighbors": 1}),
    Candidate("nearest neighbours", {"n_neighbors": 5}),
    Candidate("nearest neighbours", {"n_neighbors": 2000}),  # more than there are rows: cannot be fitted
    Candidate("random forest", {"n_estimators": 40}),
    Candidate("support vectors", {"C": 1.0, "gamma": 0.01}),
    Candidate("support vectors", {"C": 4.0, "gamma": 0.04}),
    Candidate("support vectors", {"C": 4.0, "gamma": 0.2}),
]


def new_model(candidate: Candidate, seed: int) -> Any:
    """Make a model that was not fitted yet; whatever is drawn by chance in it follows from the seed."""
    match candidate.kind:
        case "commonest digit":
            return DummyClassifier(strategy="most_frequent")
        case "logistic regression":
            # The scaler is part of the model: it must learn from the rows that the model learns from, and no others.
            return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, **candidate.settings))
        case "nearest neighbours":
            return KNeighborsClassifier(**candidate.settings)
        case "random forest":
            return RandomForestClassifier(random_state=seed, **candidate.settings)
        case "support vectors":
            return SVC(**candidate.settings)
    raise ValueError(f"there is no kind of model called {candidate.kind!r}")


# ---------------------------------------------------------------- preprocessing


@operation(outputs=("images", "labels"))
def load() -> tuple[np.ndarray, np.ndarray]:
    """Read the images, 64 pixels a row from 0 (white) to 16 (black), and the digits that they show."""
    data: Any = load_digits()
    return data.data, data.target


class Prepare(Operation):
    """Check and scale the images, and put them in an order in which every block of rows has all digits in their shares.

    Folds and the test set can then be slices: views of one array instead of copies.
    """

    images = InputPort(np.ndarray, shape=(None, 64))
    labels = InputPort(np.ndarray, shape=(None,))
    scaled = OutputPort(np.ndarray, dtype="float64", shape=(None, 64))
    digits = OutputPort(np.ndarray, shape=(None,))

    def execute(self, context: ExecutionContext) -> None:
        images, labels = self.images, self.labels
        if images.min() < 0 or images.max() > 16:
            raise ValueError(f"pixels are from 0 to 16, not from {images.min()} to {images.max()}")
        order = context.rng().permutation(len(labels))
        place_in_class = np.empty(len(labels))
        for digit in np.unique(labels):
            rows = np.flatnonzero(labels[order] == digit)
            place_in_class[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        order = order[np.argsort(place_in_class, kind="stable")]

        # Memory that worker processes can read without a copy.
        scaled = context.empty(images.shape)
        np.take(images, order, axis=0, out=scaled)
        scaled /= 16
        context.logger.info("%d images, scaled to [0, 1] and shuffled", len(scaled))
        self.scaled = scaled
        self.digits = labels[order]


@operation(outputs=("images", "labels", "test_images", "test_labels"))
def split(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Set rows aside that no candidate sees until the best is chosen."""
    cut = round(len(labels) * (1 - TEST_SHARE))
    return images[:cut], labels[:cut], images[cut:], labels[cut:]


# ---------------------------------------------------------------- training and choice

# A worker process that the system killed for want of memory is worth another try; a mistake in a setting is not. No fit
# takes a minute: one that does has lost its way in native code, where only the end of its process stops it.
PATIENCE = RetryPolicy(max_attempts=2, delay_seconds=1, retry_on=WorkerDied)


@operation(executor="process", retry_policy=PATIENCE, timeout_seconds=60)
def score_fold(
    candidate: Candidate, fold: int, images: np.ndarray, labels: np.ndarray, context: ExecutionContext
) -> float:
    """Fit a candidate to all rows but those of one fold, and return the share of these that it reads correctly."""
    ends = np.linspace(0, len(labels), FOLDS + 1).astype(int)
    held_out = slice(ends[fold], ends[fold + 1])
    model = new_model(candidate, seed=int(context.rng().integers(2**31)))
    model.fit(np.delete(images, held_out, axis=0), np.delete(labels, held_out))
    return float(model.score(images[held_out], labels[held_out]))


@dataclass(frozen=True)
class Trial:
    """What the folds say of a candidate."""

    candidate: Candidate
    scores: list[float]
    fault: str = ""

    @property
    def mean(self) -> float:
        """The mean accuracy; that of a candidate that could not be fitted is below all others."""
        return float(np.mean(self.scores)) if self.scores else -1.0


def fault_of(failure: ItemFailure) -> str:
    """Return what the first fold says; how many others had failed by then is up to the schedule."""
    error = failure.error
    return str(error.__cause__ if isinstance(error, MapError) else error)


@operation(outputs=("best", "trials"))
def choose(candidates: list[Candidate], scores: list[Any]) -> tuple[Candidate, list[Trial]]:
    """Rank the candidates; of two that are as good, the one that is named first wins."""
    trials = [
        Trial(candidate, [], fault=fault_of(row)) if isinstance(row, ItemFailure) else Trial(candidate, row)
        for candidate, row in zip(candidates, scores, strict=True)
    ]
    trials.sort(key=lambda trial: -trial.mean)
    if not trials[0].scores:
        raise ValueError(f"no candidate could be fitted; the first says: {trials[0].fault}")
    return trials[0].candidate, trials


@operation(executor="process", retry_policy=PATIENCE, timeout_seconds=60)
def train(candidate: Candidate, images: np.ndarray, labels: np.ndarray, context: ExecutionContext) -> Any:
    """Fit the best candidate to all rows but the test set."""
    return new_model(candidate, seed=int(context.rng().integers(2**31))).fit(images, labels)


# ---------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class Evaluation:
    """How a model does on rows that nothing was learnt from."""

    accuracy: float
    rows: int
    mistakes: list[tuple[int, int, int]]


class Evaluate(Operation):
    """Compare what the model reads with what was written, and let only a model pass that is good enough."""

    model = InputPort()
    images = InputPort(np.ndarray)
    labels = InputPort(np.ndarray)
    evaluation = OutputPort(Evaluation)
    approved = OutputPort(optional=True)

    def execute(self, context: ExecutionContext) -> None:
        labels = self.labels
        counts = confusion_matrix(labels, self.model.predict(self.images), labels=range(10))
        pairs = ((int(counts[shown, read]), shown, read) for shown, read in np.ndindex(10, 10) if shown != read)
        mistakes = sorted((pair for pair in pairs if pair[0]), key=lambda pair: (-pair[0], *pair[1:]))
        evaluation = Evaluation(float(np.trace(counts) / len(labels)), len(labels), mistakes)
        self.evaluation = evaluation
        if evaluation.accuracy >= REQUIRED_ACCURACY:
            self.approved = self.model


# ---------------------------------------------------------------- deployment


class Deploy(Operation):
    """Save the model under the name of its content, and point `current.json` to it in one step.

    What was deployed before stays where it is, and a run that fails after this points back to it.
    """

    model = InputPort()
    evaluation = InputPort(Evaluation)
    candidate = InputPort(Candidate)
    folder = InputPort(Path)
    card = OutputPort(Path)
    previous = OutputPort()

    def execute(self, context: ExecutionContext) -> None:
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        unnamed = folder / "model.part"
        joblib.dump(self.model, unnamed)
        digest = sha256(unnamed.read_bytes()).hexdigest()
        artefact = unnamed.replace(folder / f"model-{digest[:12]}.joblib")
        card = folder / "current.json"
        self.previous = card.read_text(encoding="utf-8") if card.exists() else None
        description = {
            "artefact": artefact.name,
            "sha256": digest,
            "model": str(self.candidate),
            "evaluation": asdict(self.evaluation),
            "seed": context.seed,
            "run": context.run_id,
            "libraries": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        }
        point_to(card, json.dumps(description, indent=2))
        self.card = card

    def revert(self, context: ExecutionContext) -> None:
        """Point back to what was deployed before."""
        card, previous = self.get_output("card"), self.get_output("previous")
        if previous is None:
            card.unlink(missing_ok=True)
        else:
            point_to(card, previous)


def point_to(card: Path, text: str) -> None:
    """Replace a file in one step, so that nobody ever reads half of it."""
    part = card.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, card)


@operation(executor="process", timeout_seconds=60)
def smoke_test(card: Path, images: np.ndarray, labels: np.ndarray) -> str:
    """Load what was deployed, in a process that has nothing but the file, and read digits with it as its users will."""
    description = json.loads(card.read_text(encoding="utf-8"))
    artefact = card.parent / description["artefact"]
    # A joblib file is a pickle, which can run anything: look at the digest before loading it.
    if sha256(artefact.read_bytes()).hexdigest() != description["sha256"]:
        raise ValueError(f"{artefact.name} is not the file that {card.name} describes")
    accuracy = joblib.load(artefact).score(images, labels)
    if abs(accuracy - description["evaluation"]["accuracy"]) > 1e-12:
        raise ValueError(f"the deployed model reads {accuracy:.1%} correctly, where the evaluated one did otherwise")
    return f"{artefact.name} reads {accuracy:.1%} of {len(labels)} digits that it never saw"


# ---------------------------------------------------------------- the graphs


def build_search() -> GraphDefinition:
    """Find and train the best of some candidates, on any images: a graph to be part of others."""
    search = GraphDefinition("search")
    candidates = search.parameter("candidates", list[Candidate])
    images = search.parameter("images", np.ndarray)
    labels = search.parameter("labels", np.ndarray)
    # One map over the candidates, each of which is a map over the folds.
    scores = search.map(
        mapped(score_fold, over="fold"),
        over={"candidate": candidates},
        fold=list(range(FOLDS)),
        images=images,
        labels=labels,
        on_error="keep",
    )
    chosen = search.add(choose, candidates=candidates, scores=scores)
    model = search.add(train, candidate=chosen["best"], images=images, labels=labels)
    for name, source in {"best": chosen["best"], "trials": chosen["trials"], "model": model["result"]}.items():
        search.output(name, source)
    return search


def build_graph() -> GraphDefinition:
    """Connect all of it. A run may say what is to be compared, and into which folder the best is deployed."""
    graph = GraphDefinition("digits")
    candidates = graph.parameter("candidates", list[Candidate], default=CANDIDATES)
    folder = graph.parameter("folder", Path, default=Path("digits-model"))

    raw = graph.add(load)
    prepared = graph.add(Prepare(name="prepare"), images=raw["images"], labels=raw["labels"])
    rows = graph.add(split, images=prepared["scaled"], labels=prepared["digits"])
    found = graph.add(build_search(), candidates=candidates, images=rows["images"], labels=rows["labels"])
    checked = graph.add(
        Evaluate(name="evaluate"), model=found["model"], images=rows["test_images"], labels=rows["test_labels"]
    )
    deployed = graph.add(
        Deploy(name="deploy"),
        model=checked["approved"],
        evaluation=checked["evaluation"],
        candidate=found["best"],
        folder=folder,
    )
    tried = graph.add(smoke_test, card=deployed["card"], images=rows["test_images"], labels=rows["test_labels"])
    # What a result keeps.
    graph.output("trials", found["trials"])
    graph.output("evaluation", checked["evaluation"])
    graph.output("deployed", tried)
    graph.output("all_images", prepared["scaled"])
    graph.output("test_images", rows["test_images"])
    return graph


# ---------------------------------------------------------------- running it


def report(result: ExecutionResult) -> str:
    """Return what the run found: the ranking, the evaluation, and what was deployed."""
    lines = ["", f"cross-validation, {FOLDS} folds"]
    trials: list[Trial] = result.values["trials"]
    for trial in trials:
        if trial.scores:
            lines.append(f"  {trial.mean:6.1%} ± {np.std(trial.scores):.1%}  {trial.candidate}")
        else:
            lines.append(f"  {'none':>13}  {trial.candidate}: {trial.fault}")
    evaluation: Evaluation = result.values["evaluation"]
    lines.append("")
    lines.append(f"the best, on {evaluation.rows} digits that were set aside: {evaluation.accuracy:.1%} read correctly")
    lines += [f"  {count} x a {shown} was read as a {read}" for count, shown, read in evaluation.mistakes[:5]]
    lines.append("")
    lines.append(f"deployed: {result.values.get('deployed', f'nothing, {REQUIRED_ACCURACY:.0%} is required')}")
    whole, part = result.values["all_images"], result.values["test_images"]
    if np.shares_memory(whole, part):
        lines.append(f"copies of the {whole.nbytes // 1000} KB of images that were made to pass them on: none")
    return "\n".join(lines)


def main() -> int:
    graph = build_graph()
    reports = []
    # BLAS rounds differently with another number of threads: the same bits in every run need the same number.
    with ExecutionEngine(native_threads=1, on_failure="revert") as engine:
        for workers, remark in ((2, ", with the start of the worker processes"), (1, "")):
            result = engine.run(graph, ExecutionContext(seed=20), max_workers=workers)
            result.raise_if_failed()
            reports.append(report(result))
            print(f"workers: {workers}, seconds: {result.seconds:.1f}{remark}")
    print(reports[0])
    if len(set(reports)) > 1:
        print("the two runs came to different figures; the second:", reports[1], sep="\n", file=sys.stderr)
        return 1
    print("both runs came to the same figures and to the same file")
    return 0


if __name__ == "__main__":
    sys.exit(main())
