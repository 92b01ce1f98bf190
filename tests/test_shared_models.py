"""Models that travel: to a folder, a bucket, the hub and back, with their terms, never half, nothing unpickled."""

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hub_server import HubServer
from motion_tables import rows_of, write_model

from choreai.cli.main import main
from choreai.errors import ConfigError, StorageError, WeightsError
from choreai.operations.model_list import list_models
from choreai.operations.shared_models import pull_model, push_model
from choreai.storage import objects
from choreai.style.evaluation.card import split_card, value_of, with_terms, write_head
from choreai.style.model import load_model

HEAD = {
    "library_name": "choreai",
    "model-index": [
        {
            "name": "lstm",
            "results": [
                {
                    "task": {"type": "video-classification"},
                    "dataset": {"type": "cross-validation", "name": "183 videos"},
                    "metrics": [{"type": "accuracy", "value": 0.913}],
                }
            ],
        }
    ],
}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    write_model(tmp_path / "out", {"clockwise-0": rows_of("clockwise-0")})
    return tmp_path / "out"


@pytest.fixture
def model(output: Path) -> Path:
    """A model's folder with a card, a report that shows people, and somebody's pickle."""
    folder = next((output / "models").iterdir())
    (folder / "MODEL_CARD.md").write_text(write_head(HEAD) + "\n# A card\n")
    (folder / "report.html").write_text("<p>people</p>")
    (folder / "weights.pkl").write_bytes(pickle.dumps([1]))
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    pytest.importorskip("huggingface_hub", reason="needs the extra choreai[hub]")
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    yield server
    server.stop()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_pushed_model_is_the_same_elsewhere_and_its_card_has_its_terms(model: Path, tmp_path: Path) -> None:
    done = push_model(str(model), str(tmp_path / "there"), licence="cc-by-nc-4.0", datasets=["street-dance"])
    assert names_in(tmp_path / "there") == {"model.json", "model.safetensors", "MODEL_CARD.md"}
    assert done.left == ("report.html", "weights.pkl")
    assert load_model(str(tmp_path / "there")).model_version == done.model_version == model.name
    card = (tmp_path / "there" / "MODEL_CARD.md").read_text()
    head, body = split_card(card)
    assert (head["license"], head["datasets"], body.strip()) == ("cc-by-nc-4.0", ["street-dance"], "# A card")
    assert value_of(card, dataset="cross-validation", metric="accuracy") == 0.913
    assert (model / "MODEL_CARD.md").read_text() == write_head(HEAD) + "\n# A card\n"  # ours is as it was


def test_a_place_is_written_once(model: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    push_model(str(model), str(there), licence="mit")
    before = {path: path.read_bytes() for path in there.iterdir()}
    assert push_model(str(model), str(there)).was_there
    assert {path: path.read_bytes() for path in there.iterdir()} == before
    other = tmp_path / "other"
    version = write_model(other, {"seesaw-1": rows_of("seesaw-1")})
    with pytest.raises(WeightsError, match=f"here is {model.name} already, not {version}"):
        push_model(str(other / "models" / version), str(there))


def test_a_push_that_was_cut_goes_on_and_two_models_never_mix(model: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    push_model(str(model), str(there))
    (there / "model.json").unlink()
    assert not push_model(str(model), str(there)).was_there
    (there / "model.json").unlink()
    other = tmp_path / "other"
    version = write_model(other, {"seesaw-1": rows_of("seesaw-1")})
    with pytest.raises(WeightsError, match="here are the weights of another model"):
        push_model(str(other / "models" / version), str(there))
    assert not (there / "model.json").exists()


@pytest.mark.parametrize("damage", ["flipped", "cut", "pickle", "picture", "no card", "renamed"])
def test_what_is_no_whole_model_is_pulled_nowhere(model: Path, tmp_path: Path, damage: str) -> None:
    weights = bytearray((model / "model.safetensors").read_bytes())
    if damage == "flipped":
        weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights[:-8] if damage == "cut" else weights)
    if damage == "pickle":
        (model / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    if damage == "picture":
        (model / "rivals.png").write_bytes(pickle.dumps({"a": 1}))
    if damage == "no card":
        (model / "MODEL_CARD.md").write_bytes(b"\xff\xfe\x00")
    if damage == "renamed":
        described = json.loads((model / "model.json").read_text())
        described["config"]["labels"] = described["config"]["labels"][::-1]
        (model / "model.json").write_text(json.dumps(described))
    with pytest.raises(WeightsError) as caught:
        pull_model(str(model), str(tmp_path / "here"))
    assert str(caught.value).startswith(str(model))
    assert not (tmp_path / "here").exists()


@pytest.mark.s3
def test_a_model_goes_through_a_bucket_and_serves(model: Path, s3_uri: str, tmp_path: Path) -> None:
    target = objects.join_uri(s3_uri, "models", "street")
    push_model(str(model), target)
    pull_model(target, str(tmp_path / "here" / "models" / "street"))
    (listed,) = list_models(str(tmp_path / "here"))
    assert (listed.model_version, listed.accuracy, listed.unseen_accuracy) == (model.name, 0.913, None)


def test_a_model_goes_through_the_hub_and_its_version_is_a_tag(model: Path, hub: HubServer, tmp_path: Path) -> None:
    done = push_model(str(model), "hf://user/street", licence="mit")
    repo = hub.repos["user/street"]
    assert repo.private
    assert repo.tags == {model.name: done.commit}
    assert set(repo.commits[str(done.commit)]) == {"README.md", "model.json", "model.safetensors"}
    assert sum("/commit/" in each for each in hub.requests) == 1, "one commit: never half"
    head = yaml.safe_load(repo.commits[str(done.commit)]["README.md"].decode().split("---\n")[1])
    assert head["license"] == "mit"
    repo.commits[str(done.commit)]["training.bin"] = pickle.dumps([1])
    pulled = pull_model(f"hf://user/street@{model.name}", str(tmp_path / "here"))
    assert names_in(tmp_path / "here") == {"MODEL_CARD.md", "model.json", "model.safetensors"}
    assert (pulled.model_version, pulled.left) == (model.name, ("training.bin",))
    assert not any("training.bin" in each for each in hub.requests)


def test_the_hub_s_own_library_reads_the_card(model: Path, hub: HubServer) -> None:
    from huggingface_hub import ModelCard

    text = with_terms((model / "MODEL_CARD.md").read_text(), licence="mit", datasets=["a"])
    data = ModelCard(text).data
    assert (data.license, data.datasets) == ("mit", ["a"])
    assert [(each.metric_type, each.metric_value) for each in data.eval_results] == [("accuracy", 0.913)]


@pytest.mark.parametrize(
    ("name", "said"),
    [("user/nothing", "there is no such repository"), ("user/street@v2", "there is no such revision")],
)
def test_what_the_hub_has_not_is_said(model: Path, hub: HubServer, tmp_path: Path, name: str, said: str) -> None:
    push_model(str(model), "hf://user/street")
    with pytest.raises(StorageError, match=said):
        pull_model(f"hf://{name}", str(tmp_path / "here"))


def test_a_licence_that_the_hub_does_not_know_is_wrong_input(model: Path, hub: HubServer) -> None:
    with pytest.raises(ConfigError, match='"license" must be one of the known'):
        push_model(str(model), "hf://user/street", licence="mine alone")


def test_a_hub_that_does_not_answer_is_an_error_that_says_so(model: Path, hub: HubServer, tmp_path: Path) -> None:
    hub.stop()
    with pytest.raises(StorageError, match="the hub cannot be reached"):
        pull_model("hf://user/street", str(tmp_path / "here"))


def test_the_command_pushes_pulls_and_lists(
    model: Path, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["model", "push", str(model), "there"]) == 0
    assert "not taken along: report.html, weights.pkl" in capsys.readouterr().out
    assert main(["model", "pull", "there", "here/models/mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model_version"] == model.name
    assert main(["model", "pull", "there", "here/models/mine"]) == 0
    assert "(was there)" in capsys.readouterr().out
    assert main(["model", "list", "--output", "here"]) == 0
    said = capsys.readouterr().out
    assert model.name in said
    assert "91%" in said
    shutil.rmtree("here/models/mine")
    assert main(["model", "list", "--output", "here"]) == 0
    assert "no models yet" in capsys.readouterr().out


def test_without_the_hub_s_library_the_command_says_what_to_install(model: Path) -> None:
    code = "import sys; sys.modules['huggingface_hub'] = None; from choreai.cli.main import run; run()"
    done = subprocess.run([sys.executable, "-c", code, "model", "push", str(model), "hf://user/name"],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 2
    assert "choreai[hub]" in done.stderr
