"""The files that put the studio somewhere else: what they name exists, and their linters are content."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# What a package is called where it is imported, when that differs from its name in the index.
IMPORTED_AS = {
    "pillow": "PIL",
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "python-multipart": "multipart",
    "pydantic-settings": "pydantic_settings",
    "sqlite-utils": "sqlite_utils",
}
OPTIONAL = {"spaces", "triton"}  # torch brings triton where there is a CUDA GPU


def front_matter() -> dict[str, object]:
    assert README.startswith("---\n")
    found: dict[str, object] = yaml.safe_load(README.split("---\n")[1])
    return found


def requirements(name: str) -> dict[str, str]:
    """Package name, lower case, to the whole line."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return {re.split(r"[<>=!~;\[ ]", line)[0].lower(): line for line in lines if line and not line.startswith("-")}


def test_the_space_front_matter() -> None:
    matter = front_matter()
    wanted = {"sdk": "gradio", "python_version": "3.12", "app_file": "app.py", "hf_oauth": True, "license": "apache-2.0"}
    assert {name: matter.get(name) for name in wanted} == wanted
    assert all(matter.get(name) for name in ("title", "emoji", "colorFrom", "colorTo"))
    assert (ROOT / str(matter["app_file"])).is_file()
    assert f"gradio=={matter['sdk_version']}" in (ROOT / "constraints.txt").read_text()


def test_every_path_of_the_dockerfile_exists() -> None:
    sources = [
        word
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        if "--from=" not in line
        for word in [part for part in line.split() if not part.startswith("--")][:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
    assert {"assets/", "pipelines/", "studio/", "app.py"} <= set(sources), "the image needs its weights and its code"


def test_the_image_is_careful() -> None:
    assert re.search(r"^USER (?!root)\S+", DOCKERFILE, re.MULTILINE), "it runs as somebody else than root"
    assert "HEALTHCHECK" in DOCKERFILE and "/livez" in DOCKERFILE
    assert "constraints.txt" in DOCKERFILE
    assert not re.search(r"^FROM \S+:latest", DOCKERFILE, re.MULTILINE)


def test_the_image_takes_no_more_than_it_needs() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "data", "runs", "tests"} <= {name.strip("/") for name in ignored}
    assert not any(name.strip("/") in ("assets", "studio", "pipelines", "app.py", "LICENSE") for name in ignored)


def test_hadolint_is_content() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.fail("hadolint is missing: pip install -r tests/requirements.txt")
    run = subprocess.run([str(hadolint), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_compose_names_what_exists() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    for service in compose["services"].values():
        assert (
            (ROOT / "deploy" / service["build"]["context"] / service["build"].get("dockerfile", "Dockerfile")).resolve().is_file()
        )
        for argument in service["build"].get("args", {}):
            assert f"ARG {argument}" in DOCKERFILE, argument


def test_apt_packages_have_sane_names() -> None:
    names = (ROOT / "packages.txt").read_text().split()
    assert names and all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name) for name in names)


def test_make_knows_its_targets_and_files() -> None:
    for target in ("studio", "test", "lint", "types", "bench"):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
    for name in set(re.findall(r"\b[\w-]+\.(?:txt|py)\b", MAKEFILE)):
        assert (ROOT / name).exists() or name.endswith("*.py"), name
    run = subprocess.run(["make", "--dry-run", "studio", "test", "bench"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_continuous_integration_calls_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111 and "make test" in script.read_text()
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_pins_hold_for_every_requirement() -> None:
    pins = requirements("constraints.txt")
    for name, line in {**requirements("requirements.txt"), **requirements("tests/requirements.txt")}.items():
        assert name in pins, f"{name} is not pinned in constraints.txt"
        assert "==" not in line.partition(";")[0], f"{name}: ranges here, pins in constraints.txt"
    assert all("==" in line and "+" not in line for line in pins.values())


def test_every_import_is_a_requirement() -> None:
    known = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in requirements("requirements.txt")}
    trains = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in requirements("tests/requirements.txt")}
    ours = {"studio", "pipelines", "app", *OPTIONAL}
    for path in [ROOT / "app.py", *(ROOT / "studio").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [str(node.module)]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in {name.partition(".")[0] for name in names}:
                more = trains if "training" in path.parts else set()
                assert name in known | more | ours | set(sys.stdlib_module_names), (
                    f"{path.relative_to(ROOT)} imports {name}, which requirements.txt lacks"
                )


def test_the_readme_keeps_to_its_plan() -> None:
    body = README.split("---\n", 2)[2]
    lines = README.splitlines()
    opening = re.split(r"\n\s*\n", re.sub(r"^# .*$", "", body, flags=re.MULTILINE).strip())[0]
    assert len(opening.split()) <= 40
    first_command = next(number for number, line in enumerate(lines, 1) if line.startswith(("make ", "$ make ", "python app.py")))
    assert first_command <= 40
    assert "assets/media/example.webp" in body and "assets/media/example.mp4" in body
    for word in ("What you should see", "Hardware", "Licen"):
        assert word in body


def test_what_the_readme_names_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"|href=\"([^\":]+)\"", README):
        target = next(part for part in link if part)
        assert (ROOT / target).exists(), target
    tree = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert tree, "the commented file tree"
    for line in tree.group(1).splitlines():
        name = line.split("  ")[0].strip()
        if name and line == line.lstrip():
            assert (ROOT / name).exists(), name


def commands() -> list[str]:
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", README, re.DOTALL)
    joined = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ").partition("  #")[0].strip() for line in joined if line.strip() and not line.startswith("#")]


def test_the_readmes_commands_exist() -> None:
    found = commands()
    assert found
    for command in found:
        words = command.split()
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", MAKEFILE, re.MULTILINE), command
        elif words[:2] == ["python", "app.py"] and len(words) > 2:
            named = words[2:4] if words[2] in ("edit", "lora") else words[2:3]
            run = subprocess.run(
                [sys.executable, "app.py", *named, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, command
            for option in re.findall(r"(?<=\s)--[a-z-]+", command):
                assert words[2] == "train" or option in run.stdout, f"{command}: no option {option}"
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).exists(), command
        else:
            assert words[0] in ("python", "docker", "curl", "git", "cd", "uvicorn", ".ci/run") or shutil.which(words[0]), command
